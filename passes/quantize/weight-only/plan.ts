import { UserError } from '../../../src/errors.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import type { QuantBits } from '../../../src/kernels/block-fit.ts';
import type { Trace } from '../../../src/rewrite/driver.ts';
import { readLinear } from '../linear.ts';

export const recipeNames = ['uniform', 'mixed'] as const;
export type RecipeName = (typeof recipeNames)[number];

/** Bits of a layer, or why it stays in float. */
export type LayerBits = QuantBits | { readonly why: string };

/** One `--layer NAME=BITS`. */
interface Override {
  readonly text: string;
  readonly matches: (name: string) => boolean;
  readonly bits: QuantBits | 'float';
}

/** Which layer gets how many bits. */
export class LayerPlan {
  readonly #bits: QuantBits;
  readonly #overrides: readonly Override[];
  readonly #promoted: ReadonlySet<Node>;

  private constructor(bits: QuantBits, overrides: readonly Override[], promoted: ReadonlySet<Node>) {
    this.#bits = bits;
    this.#overrides = overrides;
    this.#promoted = promoted;
  }

  /** @throws UserError when an override is misspelt. */
  static of(model: Model, bits: QuantBits, recipe: RecipeName, layers: readonly string[]): LayerPlan {
    return new LayerPlan(bits, layers.map(parseOverride), recipe === 'mixed' ? promotedLayers(model) : new Set());
  }

  /** The same overrides over another default: what embeddings have. */
  withBits(bits: QuantBits): LayerPlan {
    return new LayerPlan(bits, this.#overrides, new Set());
  }

  /**
   * The last override that names the layer decides, then the recipe.
   * @param least what it has at least where no override names it
   */
  bitsOf(node: Node, least: QuantBits = 2): LayerBits {
    const names = namesOf(node);
    const override = this.#overrides.findLast(({ matches }) => names.some(matches));
    if (override)
      return override.bits === 'float'
        ? { why: `you asked for it to stay as it is (--layer ${override.text})` }
        : override.bits;
    const bits = this.#promoted.has(node) ? 8 : this.#bits;
    return bits < least ? least : bits;
  }

  /** Says which overrides name nothing. */
  reportUnmatched(model: Model, trace: Trace): void {
    const missing = new Set(this.#overrides);
    for (const graph of model.graphs()) {
      if (missing.size === 0) return;
      for (const node of graph.nodes) {
        const names = namesOf(node);
        for (const override of missing) if (names.some(override.matches)) missing.delete(override);
      }
    }
    for (const { text } of missing)
      trace.skipped('layer', text, 'no MatMul, Gemm, Gather or Conv, or output or weight of one, has this name');
  }
}

/** Names by which a user may know a layer: its node, its outputs, its weights. */
function namesOf(node: Node): string[] {
  if (!node.is('MatMul') && !node.is('Gemm') && !node.is('Gather') && !node.is('Conv')) return [];
  const names: (string | undefined)[] = [node.name, ...node.outputs.map((output) => output?.name)];
  for (const input of node.inputs) {
    const weight = input?.producer?.is('Transpose') ? input.producer.input(0) : input;
    if (constantOf(weight)) names.push(weight?.name);
  }
  return names.filter((name): name is string => name !== undefined && name !== '');
}

/** @throws UserError naming the form. */
function parseOverride(text: string): Override {
  const at = text.lastIndexOf('=');
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  const bits = ({ 2: 2, 3: 3, 4: 4, 8: 8, float: 'float' } as const)[value];
  if (at < 1 || bits === undefined)
    throw new UserError(
      'option.value',
      `--layer takes NAME=BITS, where NAME is a node, a node output or a weight (with * for any letters) and BITS is 2, 3, 4, 8 or float, not "${text}".`,
    );
  const pattern = new RegExp(
    `^${name
      .split('*')
      .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
      .join('.*')}$`,
    's',
  );
  return { text, bits, matches: (candidate) => pattern.test(candidate) };
}

/**
 * Layers that lose most in few bits: those that no other layer comes behind (lm_head), those that narrow by half or more
 * (down_proj of a feed-forward block), and the first and the last eighth of all.
 */
function promotedLayers(model: Model): Set<Node> {
  const promoted = new Set<Node>();
  for (const graph of model.graphs()) {
    const layers: Node[] = [];
    for (const node of graph.nodes) {
      if (!node.is('MatMul') && !node.is('Gemm')) continue;
      const linear = readLinear(node);
      if (typeof linear === 'string' || elementCount(linear.tensor.shape) < 1024) continue;
      layers.push(node);
      if (linear.k >= 2 * linear.n || !reachesAnother(node)) promoted.add(node);
    }
    const eighth = Math.round(layers.length / 8);
    for (const node of [...layers.slice(0, eighth), ...layers.slice(layers.length - eighth)]) promoted.add(node);
  }
  return promoted;
}

/** Whether what the node makes is multiplied by weights again. */
function reachesAnother(start: Node): boolean {
  const pending = [start];
  const seen = new Set(pending);
  for (const node of pending) {
    for (const output of node.outputs) {
      for (const reader of output?.readers ?? []) {
        if (seen.has(reader)) continue;
        seen.add(reader);
        if ((reader.is('MatMul') || reader.is('Gemm')) && typeof readLinear(reader) !== 'string') return true;
        pending.push(reader);
      }
    }
  }
  return false;
}
