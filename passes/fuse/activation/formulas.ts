import { type AttrInput, float } from '../../../src/ir/attr.ts';
import { constantScalar } from '../../../src/ir/constant.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Node } from '../../../src/ir/graph.ts';
import type { FusionTarget } from '../target.ts';
import { type Terms, terms } from './expression.ts';

/** The operator that says it all. */
export interface Made {
  readonly op: string;
  readonly domain?: 'com.microsoft';
  readonly attrs?: Readonly<Record<string, AttrInput>>;
}

export interface Where {
  readonly target: FusionTarget;
  readonly opset: number;
  readonly dtype: DType | undefined;
  /** The multiple of x that the inner function takes. */
  readonly parameter: number;
}

/** An activation as exporters spell it out: result(x, t), t = inner(argument(x)). */
export interface Formula {
  readonly id: string;
  readonly summary: string;
  /** For sentences. */
  readonly name: string;
  readonly text: string;
  /** The function from which it is found. */
  readonly inner: readonly string[];
  /** A second function inside the first. */
  readonly between?: string;
  /** The inner function is of the right kind: limits, slopes. */
  accepts?(inner: Node): boolean;
  readonly argument: Terms | 'any multiple';
  readonly result: Terms;
  /** The inner function hardly occurs otherwise: a miss is told. */
  readonly telling?: boolean;
  /** `true`, or why no operator for it may be used here. */
  available(target: FusionTarget, opset: number, dtype: DType | undefined): true | string;
  make(where: Where): Made;
}

const half = terms({ '1,0': 0.5, '1,1': 0.5 });
const times = terms({ '1,1': 1 });
const tanhFactor = Math.sqrt(2 / Math.PI);

/** From `opset` on the operator is ONNX's own; before, and at level runtime, it is the runtime's. */
function since(op: string, opset: number, own?: string) {
  return (target: FusionTarget, actual: number, dtype: DType | undefined): true | string => {
    if (actual >= opset) return true;
    const offer = own === undefined ? 'no runtime has one of its own' : target.offers(own, dtype);
    if (offer === true) return true;
    const raise = `${op} needs opset ${opset} and the model has ${actual}: raise it with --opset ${opset}`;
    return own === undefined || target.isRuntime ? `${raise} (${offer})` : `${raise}, or use --level runtime`;
  };
}

/** ONNX Runtime has HardSigmoid, of which HardSwish consists, for float32 alone (and half precision by way of it). */
function notDouble(then: Formula['available']): Formula['available'] {
  return (target, opset, dtype) =>
    dtype === 'float64' ? 'ONNX Runtime has no kernel for HardSigmoid of float64' : then(target, opset, dtype);
}

export const formulas: readonly Formula[] = [
  {
    id: 'gelu',
    summary: 'x · ½ · (1 + erf(x/√2)), in any order, is Gelu',
    name: 'Gelu',
    text: 'x·½·(1 + erf(x/√2))',
    inner: ['Erf'],
    argument: terms({ '1,0': Math.SQRT1_2 }),
    result: half,
    telling: true,
    available: since('Gelu', 20, 'Gelu'),
    make: ({ opset }) => (opset >= 20 ? { op: 'Gelu' } : { op: 'Gelu', domain: 'com.microsoft' }),
  },
  {
    id: 'gelu-tanh',
    summary: 'x · ½ · (1 + tanh(√(2/π)·(x + 0.044715·x³))) is the approximate Gelu, at level runtime FastGelu',
    name: 'the approximate Gelu',
    text: 'x·½·(1 + tanh(√(2/π)·(x + 0.044715·x³)))',
    inner: ['Tanh'],
    argument: terms({ '1,0': tanhFactor, '3,0': tanhFactor * 0.044715 }),
    result: half,
    available: since('Gelu', 20, 'FastGelu'),
    make: ({ target, opset, dtype }) =>
      target.offers('FastGelu', dtype) === true || opset < 20
        ? { op: 'FastGelu', domain: 'com.microsoft' }
        : { op: 'Gelu', attrs: { approximate: 'tanh' } },
  },
  {
    id: 'quick-gelu',
    summary: 'x · sigmoid(a·x) is QuickGelu (SiLU, also called Swish, where a is 1)',
    name: 'x·sigmoid(a·x)',
    text: 'x·sigmoid(a·x)',
    inner: ['Sigmoid'],
    argument: 'any multiple',
    result: times,
    available: (target, _, dtype) => target.offers('QuickGelu', dtype),
    make: ({ parameter }) => ({ op: 'QuickGelu', domain: 'com.microsoft', attrs: { alpha: float(parameter) } }),
  },
  {
    id: 'hard-swish',
    summary: 'x · HardSigmoid(x) with slope 1/6 is HardSwish',
    name: 'HardSwish',
    text: 'x·max(0, min(1, x/6 + ½))',
    inner: ['HardSigmoid'],
    accepts: (inner) => Math.abs(inner.float('alpha', 0.2) - 1 / 6) < 1e-5 && inner.float('beta', 0.5) === 0.5,
    argument: terms({ '1,0': 1 }),
    result: times,
    available: notDouble(since('HardSwish', 14)),
    make: () => ({ op: 'HardSwish' }),
  },
  {
    id: 'hard-swish-clip',
    summary: 'x · Clip(x + 3, 0, 6) / 6 is HardSwish',
    name: 'HardSwish',
    text: 'x·Clip(x + 3, 0, 6)/6',
    inner: ['Clip'],
    accepts: isRelu6,
    argument: terms({ '1,0': 1, '0,0': 3 }),
    result: terms({ '1,1': 1 / 6 }),
    available: notDouble(since('HardSwish', 14)),
    make: () => ({ op: 'HardSwish' }),
  },
  {
    id: 'hard-sigmoid',
    summary: 'Clip(x + 3, 0, 6) / 6 is HardSigmoid',
    name: 'HardSigmoid',
    text: 'Clip(x + 3, 0, 6)/6',
    inner: ['Clip'],
    accepts: isRelu6,
    argument: terms({ '1,0': 1, '0,0': 3 }),
    result: terms({ '0,1': 1 / 6 }),
    available: notDouble(() => true),
    make: () => ({ op: 'HardSigmoid', attrs: { alpha: float(Math.fround(1 / 6)), beta: float(0.5) } }),
  },
  {
    id: 'mish',
    summary: 'x · tanh(softplus(x)) is Mish',
    name: 'Mish',
    text: 'x·tanh(softplus(x))',
    inner: ['Tanh'],
    between: 'Softplus',
    argument: terms({ '1,0': 1 }),
    result: times,
    available: since('Mish', 18),
    make: () => ({ op: 'Mish' }),
  },
];

function isRelu6(clip: Node): boolean {
  const low = clip.float('min') ?? constantScalar(clip.input(1));
  const high = clip.float('max') ?? constantScalar(clip.input(2));
  return low === 0 && high === 6;
}
