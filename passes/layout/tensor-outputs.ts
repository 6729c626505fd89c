import type { Graph, Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { type Shape, tensorType } from '../../src/ir/types.ts';
import { definePass, exact, type PassContext } from '../../src/pass/pass.ts';
import { provenanceKey } from '../../src/rewrite/edit.ts';

const rule = 'zip-map';

/**
 * Outputs that a ZipMap (ai.onnx.ml-1) gives, one map from class to score for each row, become the tensor [rows, classes] that it reads. Converters of
 * scikit-learn, LightGBM and XGBoost put it there unless told otherwise; of the runtimes that mlpack packs for only Python's, C++'s and Java's hand maps out.
 */
export const tensorOutputs = definePass({
  id: 'tensor-outputs',
  summary:
    'Give scores as a tensor, a column for each class, where a ZipMap makes maps of them (sklearn, LightGBM, XGBoost)',
  options: {},
  rules: { [rule]: 'an output is the tensor in front of its ZipMap, under the same name' },
  numerics: () => exact,
  run(model, _, ctx) {
    const outputs = zipMapOutputs(model);
    if (outputs.length === 0) return { changed: false };
    const { types } = inferShapes(model, { write: false });
    for (const { index, value, node } of outputs) {
      const scores = node.inputs[0] as Value;
      const type = types.get(scores) ?? scores.type;
      open(model.graph, index, value, node, type?.kind === 'tensor' ? type.shape : undefined, ctx);
    }
    return { changed: true };
  },
});

interface MapOutput {
  readonly index: number;
  readonly value: Value;
  readonly node: Node;
}

function zipMapOutputs({ graph }: Model): MapOutput[] {
  return graph.outputs.flatMap((value, index) => {
    const node = value.producer;
    return node?.is('ZipMap', 'ai.onnx.ml') && node.inputs[0] !== undefined ? [{ index, value, node }] : [];
  });
}

/** Whether some output is a map that `tensorOutputs` turns into a tensor. */
export const hasMapOutputs = (model: Model): boolean => zipMapOutputs(model).length > 0;

function open(
  graph: Graph,
  index: number,
  value: Value,
  node: Node,
  shape: Shape | undefined,
  ctx: Pick<PassContext, 'applied'>,
): void {
  const { name } = value;
  const copy = graph.insertBefore(node, 'Identity', { inputs: [node.input(0)] });
  graph.setOutput(index, copy.output());
  copy.meta = new Map([[provenanceKey, `${rule}(${name})`]]);
  const texts = node.attr('classlabels_strings');
  const classes = texts?.type === 'strings' ? texts.value : (node.ints('classlabels_int64s') ?? []).map(String);
  // Something else reads the maps.
  if (value.isUsed) value.name = graph.freshName(`${name}_maps`);
  else graph.remove(node);
  copy.output().name = name;
  copy.output().type = tensorType('float32', shape);
  ctx.applied(rule, copy, `"${name}" is a tensor; its columns are the classes ${named(classes)}`);
}

const most = 20;

const named = (classes: readonly string[]): string =>
  classes.length > most ? `${classes.slice(0, most).join(', ')} … (${classes.length})` : classes.join(', ');
