import type { Dim } from '../../../../src/ir/types.ts';
import type { Slot } from '../book.ts';
import type { Site } from '../site.ts';

/** The first input and every output have the same axes; further inputs are settings. */
export function unary(site: Site): void {
  const x = site.input(0);
  for (const out of site.outputs) site.sameShape(x, out);
}

/** Of its second input the type alone counts, whatever its shape is. */
export function castLike(site: Site): void {
  site.sameShape(site.input(0), site.output());
  site.free(...(site.input(1)?.axes ?? []));
}

/** NumPy broadcasting: axes from the right; an extent of 1 says nothing about the others. */
export function broadcast(site: Site): void {
  const out = site.output();
  if (!out) return;
  for (const slot of site.inputs) alignRight(site, slot, out);
  for (const slot of site.inputs) markEach(site, slot);
}

export function alignRight(site: Site, slot: Slot, out: Slot): void {
  const lead = out.axes.length - slot.axes.length;
  for (const axis of slot.axes) {
    const other = out.axes[lead + axis.index];
    if (!other || isOne(axis.dim)) continue;
    site.same(axis, other);
  }
}

const isOne = (dim: Dim): boolean => dim === 1;

/** A constant that is one row of numbers is a bias or a gain. */
function markEach(site: Site, slot: Slot): void {
  if (!slot.isConstant) return;
  const wide = slot.axes.filter((axis) => axis.extent !== 1);
  if (wide.length === 1) site.role(wide[0], 'each');
}

export const unaryOps = [
  'Abs',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'BitwiseNot',
  'Cast',
  'Ceil',
  'Celu',
  'Clip',
  'Cos',
  'Cosh',
  'Dropout',
  'Elu',
  'Erf',
  'Exp',
  'Floor',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'Identity',
  'IsInf',
  'IsNaN',
  'LeakyRelu',
  'Log',
  'Mish',
  'Neg',
  'Not',
  'Reciprocal',
  'Relu',
  'Round',
  'Selu',
  'Shrink',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
];

export const broadcastOps = [
  'Add',
  'And',
  'BitShift',
  'BitwiseAnd',
  'BitwiseOr',
  'BitwiseXor',
  'Div',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Max',
  'Mean',
  'Min',
  'Mod',
  'Mul',
  'Or',
  'PRelu',
  'Pow',
  'Sub',
  'Sum',
  'Where',
  'Xor',
];
