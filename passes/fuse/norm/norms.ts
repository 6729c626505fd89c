import { float } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { type Shape, staticShape } from '../../../src/ir/types.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { clusterMatch, onlyReader, usedInside } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import { insertableOpset, type Rule, type Site } from '../../../src/rewrite/rule.ts';
import { isFoldable } from '../floats.ts';
import type { FusionTarget } from '../target.ts';
import { castType, findNormalized, type Normalized } from './normalized.ts';

/** A norm with what is multiplied and added behind it. */
interface Norm {
  readonly normalized: Normalized;
  /** What the operator reads: x, or what x was cast from. */
  readonly x: Value;
  readonly dtype: DType;
  readonly gamma: Value | undefined;
  readonly beta: Value | undefined;
  /** The extents that are normalized over. */
  readonly extents: Shape;
  readonly last: Node;
}

/** (x − mean(x)) / √(var(x) + ε) · γ + β, in whatever order and with whatever powers, roots and casts. */
export function layerNorm(target: FusionTarget): Rule {
  return normRule(
    'layer-norm',
    'the steps of layer normalization, written out, are LayerNormalization',
    'layer',
    target,
  );
}

/** x / √(mean(x²) + ε) · γ. */
export function rmsNorm(target: FusionTarget): Rule {
  const summary = 'the steps of root mean square normalization are RMSNormalization, or SimplifiedLayerNormalization';
  return normRule('rms-norm', summary, 'rms', target);
}

function normRule(id: string, summary: string, kind: Normalized['kind'], target: FusionTarget): Rule {
  return {
    id,
    summary,
    ops: ['ReduceMean'],
    find(node, site) {
      const norm = findNorm(node, site, kind, target);
      if ('why' in norm) return norm;
      const { normalized, last, x, gamma, beta } = norm;
      return clusterMatch(normalized.nodes, last, { x, mean: node.output(), gamma, beta });
    },
    apply(match, edit) {
      const norm = findNorm(match.value('mean').producer as Node, edit, kind, target);
      if ('why' in norm) return norm;
      return replace(norm, match, edit, target);
    },
  };
}

function findNorm(mean: Node, site: Site, kind: Normalized['kind'], target: FusionTarget): Norm | Miss {
  const normalized = findNormalized(mean, kind, site);
  if ('why' in normalized) return normalized;
  const norm = extend(normalized, site);
  if ('why' in norm) return norm;
  const available = operator(norm, insertableOpset(site), target);
  if (typeof available === 'string') return miss(norm.last, available);
  const free = usedInside(normalized.nodes, norm.last);
  if (free !== true) return miss(norm.last, `a normalization of "${norm.x.name}", but ${free}`);
  if (!norm.gamma && !staticShape(norm.extents)) {
    return miss(norm.last, `"${norm.x.name}" is normalized without a scale over an extent that is not fixed`);
  }
  return norm;
}

/** Takes in the cast back to the type of the source, the factor and the summand, as far as they follow. */
function extend(normalized: Normalized, site: Site): Norm | Miss {
  const { types } = site;
  const { nodes } = normalized;
  const extents = normalized.shape.slice(normalized.axis);
  let { x, last } = normalized;
  const step = (op: string): { node: Node; other: Value } | undefined => {
    const reader = onlyReader(last.output());
    if (!reader?.is(op) || reader.inputs.length !== 2) return undefined;
    const other = reader.input(0) === last.output() ? reader.input(1) : reader.input(0);
    const fits = other && other !== last.output() && isVector(other, extents, normalized.shape.length, site);
    return fits ? { node: reader, other } : undefined;
  };
  const narrow = normalized.narrow;
  const cast = onlyReader(last.output());
  if (narrow && cast && castType(cast) === types.dtypeOf(narrow)) {
    nodes.add(cast);
    last = cast;
    x = narrow;
  }
  const gamma = step('Mul');
  if (gamma) {
    nodes.add(gamma.node);
    last = gamma.node;
  }
  const beta = normalized.kind === 'layer' ? step('Add') : undefined;
  if (beta) {
    nodes.add(beta.node);
    last = beta.node;
  }
  const dtype = types.dtypeOf(x);
  if (!isFoldable(dtype)) return miss(last, `"${x.name}" is ${dtype ?? 'of unknown type'}`, false);
  const result = types.dtypeOf(last.output());
  if (result !== dtype)
    return miss(last, `"${x.name}" is ${dtype}, and its normalization ${result ?? 'of unknown type'}`);
  return { normalized, x, dtype, gamma: gamma?.other, beta: beta?.other, extents, last };
}

/** One number for each normalized element, whatever stands before: [N], or [1, …, 1, N] where that is constant. */
function isVector(value: Value, extents: Shape, rank: number, { types }: Site): boolean {
  const shape = types.shapeOf(value);
  if (!shape || shape.length < extents.length || shape.length > rank) return false;
  const lead = shape.length - extents.length;
  if (lead > 0 && !constantOf(value)) return false;
  return shape.slice(0, lead).every((dim) => dim === 1) && extents.every((dim, at) => equalDims(dim, shape[lead + at]));
}

/** The operator to use, or why there is none. */
function operator({ normalized, dtype }: Norm, opset: number, target: FusionTarget): { op: string } | string {
  const [own, since, runtime] =
    normalized.kind === 'layer'
      ? (['LayerNormalization', 17, 'LayerNormalization'] as const)
      : (['RMSNormalization', 23, 'SimplifiedLayerNormalization'] as const);
  if (opset >= since) return { op: own };
  const offer = target.offers(runtime, dtype);
  // ONNX Runtime knows these two in the default domain, whatever its opset.
  if (offer === true) return { op: runtime };
  const raise = `${own} needs opset ${since} and the model has ${opset}: raise it with --opset ${since}`;
  return target.isRuntime ? `${raise} (${offer})` : `${raise}, or use --level runtime`;
}

function replace(norm: Norm, match: Match, edit: Edit, target: FusionTarget): Miss | undefined {
  const { normalized, x, dtype, extents, last } = norm;
  const made = operator(norm, insertableOpset(edit), target);
  if (typeof made === 'string') return miss(last, made);
  const vector = (value: Value | undefined): Value | undefined => {
    const tensor = value && constantOf(value);
    const fixed = staticShape(extents);
    if (!value || !tensor || !fixed || tensor.shape.length === fixed.length) return value;
    return edit.constant(value.name, tensorFromBytes(tensor.dtype, fixed, tensor.bytes()));
  };
  const gamma =
    vector(norm.gamma) ?? edit.constant(`${last.output().name}_scale`, ones(dtype, staticShape(extents) ?? []));
  const fused = edit.insert(made.op, {
    inputs: [x, gamma, vector(norm.beta)],
    attrs: { axis: normalized.axis - normalized.shape.length, epsilon: float(Math.fround(normalized.epsilon)) },
  });
  fused.name = last.name;
  edit.replace(match.root, fused);
  return undefined;
}

function ones(dtype: DType, shape: readonly number[]): Tensor {
  const count = elementCount(shape);
  if (dtype === 'float64') return tensorFrom('float64', shape, new Float64Array(count).fill(1));
  const floats = new Float32Array(count).fill(1);
  return dtype === 'float16' ? tensorFrom('float16', shape, f32ToF16(floats)) : tensorFrom('float32', shape, floats);
}
