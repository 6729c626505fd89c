import type { AttrInput } from '../../../src/ir/attr.ts';
import { float, floats, strings } from '../../../src/ir/attr.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { Draft } from './draft.ts';

const ml: { domain: string } = { domain: 'ai.onnx.ml' };

/** Rows of a table through operators of classical learning (ai.onnx.ml), dense layers and embeddings of categories. */
export function buildTables(seed: number): Model {
  return new Tables(seed).build();
}

class Tables extends Draft {
  #x: Value;
  #width: number;

  constructor(seed: number) {
    super(seed, 'tables');
    this.opset = this.pick([17, 13, 12, 11, 9, 15, 18, 21]);
    this.#width = this.pick([3, 5, 8]);
    this.#x = this.input('x', [this.pick([1, 2, 'N'] as const), this.#width]);
  }

  build(): Model {
    if (this.chance(0.3)) this.#category();
    const kinds = [
      () => this.#scaler(),
      () => this.#normalizer(),
      () => this.#dense(),
      () => this.#dense(),
      () => this.#binarizer(),
      () => this.#imputer(),
      () => this.#columns(),
      () => this.#regressor(),
      () => this.#trees(),
      () => this.#norm(),
    ];
    for (let count = this.int(1, 5); count > 0; count--) this.pick(kinds)();
    if (this.chance(0.4)) this.#classifier();
    else {
      if (!this.#x.producer) this.#x = this.op('Identity', [this.#x]);
      this.output(this.#x);
    }
    return this.model();
  }

  #list(count: number, low = -1, high = 1): number[] {
    return Array.from({ length: count }, () => Math.fround(low + this.next() * (high - low)));
  }
  /** A column of numbers of categories: one-hot by comparison, or a table looked up. */
  #category(): void {
    const ids = this.input('category', [this.#x.shape?.[0], 1], 'int64');
    const table = this.op('Gather', [this.weight([4, 6]), ids]);
    const flat = this.op('Reshape', [table, this.numbers(-1, 6)]);
    this.#x = this.op('Concat', [this.#x, flat], { axis: 1 });
    this.#width += 6;
  }
  #scaler(): void {
    const one = this.chance(0.3);
    const count = one ? 1 : this.#width;
    const attrs = { offset: floats(this.#list(count)), scale: floats(this.#list(count, 0.5, 2)) };
    this.#x = this.op('Scaler', [this.#x], attrs, ml);
  }
  #normalizer(): void {
    this.#x = this.op('Normalizer', [this.#x], { norm: this.pick(['L1', 'L2', 'MAX']) }, ml);
  }
  #binarizer(): void {
    if (this.chance(0.5)) this.#x = this.op('Binarizer', [this.#x], { threshold: float(0.2) }, ml);
  }
  #imputer(): void {
    const attrs = { imputed_value_floats: floats(this.#list(this.#width)), replaced_value_float: float(0) };
    this.#x = this.op('Imputer', [this.#x], attrs, ml);
  }
  #columns(): void {
    const kept = Array.from({ length: this.int(1, this.#width) }, () => this.int(0, this.#width - 1));
    this.#x = this.op('ArrayFeatureExtractor', [this.#x, this.numbers(...kept)], {}, ml);
    this.#width = kept.length;
  }
  #dense(): void {
    const out = this.pick([4, 8, 16]);
    this.#x = this.activation(this.linear(this.#x, this.#width, out));
    this.#width = out;
  }
  #norm(): void {
    const width = this.#width;
    const inputs = [this.#x, this.weight([width], 0.5, 1), this.weight([width], 0.3), this.weight([width], 0.3)];
    this.#x = this.op('BatchNormalization', [...inputs, this.weight([width], 0.4, 1)]);
  }
  #regressor(): void {
    const targets = this.int(1, 3);
    const attrs: Record<string, AttrInput> = {
      coefficients: floats(this.#list(targets * this.#width)),
      intercepts: floats(this.#list(targets)),
      targets,
    };
    this.#x = this.op('LinearRegressor', [this.#x], attrs, ml);
    this.#width = targets;
  }
  /** Stumps: each one comparison and two leaves. */
  #trees(): void {
    const [count, targets] = [this.int(1, 3), this.int(1, 2)];
    const each = Array.from({ length: count }, (_, tree) => tree);
    const leaves = each.flatMap((tree) => [1, 2].map((node) => ({ tree, node })));
    const attrs: Record<string, AttrInput> = {
      n_targets: targets,
      nodes_treeids: each.flatMap((tree) => [tree, tree, tree]),
      nodes_nodeids: each.flatMap(() => [0, 1, 2]),
      nodes_featureids: each.flatMap(() => [this.int(0, this.#width - 1), 0, 0]),
      nodes_modes: strings(each.flatMap(() => ['BRANCH_LEQ', 'LEAF', 'LEAF'])),
      nodes_values: floats(each.flatMap(() => [...this.#list(1), 0, 0])),
      nodes_truenodeids: each.flatMap(() => [1, 0, 0]),
      nodes_falsenodeids: each.flatMap(() => [2, 0, 0]),
      target_treeids: leaves.map(({ tree }) => tree),
      target_nodeids: leaves.map(({ node }) => node),
      target_ids: leaves.map(() => this.int(0, targets - 1)),
      target_weights: floats(this.#list(leaves.length)),
    };
    this.#x = this.op('TreeEnsembleRegressor', [this.#x], attrs, ml);
    this.#width = targets;
  }
  /** Labels and scores, and the scores perhaps as maps, as scikit-learn's converter hands them out. */
  #classifier(): void {
    const classes = this.int(2, 4);
    const named = this.chance(0.4);
    const labels = Array.from({ length: classes }, (_, i) => i);
    const attrs: Record<string, AttrInput> = {
      coefficients: floats(this.#list(classes * this.#width)),
      intercepts: floats(this.#list(classes)),
      post_transform: this.pick(['NONE', 'SOFTMAX', 'LOGISTIC']),
      multi_class: 0,
      ...(named ? { classlabels_strings: strings(labels.map((i) => `c${i}`)) } : { classlabels_ints: labels }),
    };
    const [label, scores] = this.ops('LinearClassifier', [this.#x], attrs, { ...ml, outputs: 2 }) as [Value, Value];
    if (!named || this.chance(0.5)) this.output(label, tensorType(named ? 'string' : 'int64'));
    const normal = this.chance(0.5) ? this.op('Normalizer', [scores], { norm: 'L1' }, ml) : scores;
    this.output(normal);
  }
}
