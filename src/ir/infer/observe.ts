import { declaredSymbols, symbolsOf } from '../dim.ts';
import type { DType } from '../dtype.ts';
import { capturedValues, type Graph, type Model, type Value } from '../graph.ts';
import { topologicalOrder } from '../sort.ts';
import { type Dim, type Shape, tensorType } from '../types.ts';

/** One run of the model: what its symbolic input dimensions were, and what came out. */
export interface Observation {
  readonly bindings: ReadonlyMap<string, number>;
  /** By name, for values of the main graph. */
  readonly values: ReadonlyMap<string, { readonly dtype: DType; readonly shape: readonly number[] }>;
}

/** Ops whose extents depend on the data itself: runs say nothing about other data. */
const dataDependent = new Set(['NonZero', 'NonMaxSuppression', 'Unique', 'Compress', 'StringSplit', 'Loop']);

/** Inputs whose elements decide extents: what a caller feeds there is no more than an example. */
const decidingInputs: Readonly<Record<string, readonly number[]>> = {
  AffineGrid: [1],
  BlackmanWindow: [0],
  CenterCropPad: [1],
  Col2Im: [1, 2],
  ConstantOfShape: [0],
  DFT: [1, 2],
  Expand: [1],
  HammingWindow: [0],
  HannWindow: [0],
  If: [0],
  MaxUnpool: [2],
  MelWeightMatrix: [0, 1],
  OneHot: [1],
  Pad: [1, 3],
  Range: [0, 1, 2],
  Reshape: [1],
  Resize: [1, 2, 3],
  SequenceAt: [1],
  Slice: [1, 2, 3, 4],
  Split: [1],
  SplitToSequence: [1],
  STFT: [1, 3],
  Tile: [1],
  TopK: [1],
  Upsample: [1],
};

/** Give the same whatever the elements of their input are. */
const ofShapeAlone = new Set(['Shape', 'Size']);

/**
 * Fills in what inference left open by what runs have shown: inner values without shape, and dimensions that only have
 * a made-up name. Takes at least two runs in which every symbol has different values; a dimension becomes a number when
 * it was the same in all of them, a symbol when it was that symbol's value (and no other's) in all of them, else it
 * stays as it is. Values whose extents depend on the data (`NonZero` and the like, a `TopK` whose k is fed, and all that follows from them) stay too.
 * @returns how many values know more now.
 */
export function mergeObserved(model: Model, observations: readonly Observation[]): number {
  const symbols = declaredSymbols(model.graph.inputs);
  const independent = [...symbols].every((symbol) => {
    const values = observations.map(({ bindings }) => bindings.get(symbol));
    return !values.includes(undefined) && new Set(values).size === values.length;
  });
  if (observations.length < 2 || !independent) return 0;
  const excluded = dependentValues(model.graph);
  let changed = 0;
  for (const node of model.graph.nodes) {
    for (const value of node.outputs) {
      if (value && !excluded.has(value) && !value.isGraphOutput && merge(value, observations, symbols)) changed++;
    }
  }
  return changed;
}

function merge(value: Value, observations: readonly Observation[], symbols: ReadonlySet<string>): boolean {
  const seen = observations.map(({ values }) => values.get(value.name));
  const [first] = seen;
  if (!first || (value.type && value.type.kind !== 'tensor')) return false;
  const shapes: (readonly number[])[] = [];
  for (const one of seen) {
    if (!one || one.dtype !== first.dtype || one.shape.length !== first.shape.length) return false;
    shapes.push(one.shape);
  }
  const known = value.type?.kind === 'tensor' ? value.type.shape : undefined;
  if (known && known.length !== first.shape.length) return false;
  const shape = first.shape.map((_, axis): Dim => {
    const dim = known?.[axis];
    if (dim !== undefined && !isMadeUp(dim)) return dim;
    return (
      generalize(
        shapes.map((one) => one[axis] as number),
        observations,
        symbols,
      ) ?? dim
    );
  });
  if (value.dtype !== undefined && value.dtype !== first.dtype) return false;
  if (known && sameDims(known, shape)) return false;
  value.type = tensorType(first.dtype, shape);
  return true;
}

function isMadeUp(dim: Dim): boolean {
  return [...symbolsOf(dim)].some((symbol) => /^unknown_\d+$/.test(symbol));
}

function sameDims(a: Shape, b: Shape): boolean {
  return a.every((dim, axis) => dim === b[axis]);
}

/** The same number everywhere, or the one symbol that had this value everywhere. */
function generalize(
  extents: readonly number[],
  observations: readonly Observation[],
  symbols: ReadonlySet<string>,
): Dim {
  if (new Set(extents).size === 1) return extents[0];
  const fitting = [...symbols].filter((symbol) =>
    observations.every(({ bindings }, run) => bindings.get(symbol) === extents[run]),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Outputs of nodes whose extents depend on the data, and everything made from them. */
function dependentValues(graph: Graph): Set<Value> {
  const dependent = new Set<Value>();
  /** Values whose elements depend on what is fed, and not on its shape alone. */
  const fed = new Set(graph.inputs.filter((value) => value.initializer === undefined));
  for (const node of topologicalOrder(graph)) {
    const read = [...node.inputs, ...capturedValues(node)].filter((value) => value !== undefined);
    const deciding = Object.hasOwn(decidingInputs, node.op) ? (decidingInputs[node.op] ?? []) : [];
    const tainted =
      dataDependent.has(node.op) ||
      deciding.some((index) => fed.has(node.input(index) as Value)) ||
      read.some((value) => dependent.has(value));
    const isFed = !ofShapeAlone.has(node.op) && read.some((value) => fed.has(value));
    for (const value of node.outputs) {
      if (value && tainted) dependent.add(value);
      if (value && isFed) fed.add(value);
    }
  }
  return dependent;
}
