import { dtypeFromCode } from '../../dtype.ts';
import { type Dim, tensorType, type ValueType } from '../../types.ts';
import type { NodeContext, RuleTable } from '../context.ts';
import { scalar } from '../data.ts';
import { commonShape, plainAxis, withDim } from '../shapes.ts';

function elementOf(type: ValueType | undefined): ValueType | undefined {
  return type?.kind === 'sequence' || type?.kind === 'optional' ? type.element : undefined;
}

/** The type of a sequence that holds both. */
function join(a: ValueType | undefined, b: ValueType | undefined): ValueType | undefined {
  if (a?.kind !== 'tensor' || b?.kind !== 'tensor') return a ?? b;
  return tensorType(a.dtype, commonShape(a.shape, b.shape));
}

function sequence(ctx: NodeContext, element: ValueType | undefined): void {
  if (element) ctx.setType(0, { kind: 'sequence', element });
}

export const sequences: RuleTable = {
  SequenceEmpty: (ctx) => sequence(ctx, tensorType(dtypeFromCode(ctx.int('dtype', 1)) ?? 'float32')),
  SequenceConstruct: (ctx) => {
    const types = ctx.node.inputs.map((_, index) => ctx.type(index));
    const known = types.filter((type) => type !== undefined);
    if (known.length === types.length) sequence(ctx, known.reduce<ValueType | undefined>(join, known[0]));
  },
  SequenceInsert: (ctx) => {
    const element = elementOf(ctx.type(0));
    const added = ctx.type(1);
    if (element && added) sequence(ctx, element.kind === 'tensor' && !element.shape ? element : join(element, added));
  },
  SequenceErase: (ctx) => ctx.setType(0, ctx.type(0)),
  SequenceAt: (ctx) => ctx.setType(0, elementOf(ctx.type(0))),
  SequenceLength: (ctx) => ctx.set(0, 'int64', []),
  SplitToSequence: (ctx) => {
    const dtype = ctx.dtype(0);
    const shape = ctx.shape(0);
    const axis = shape && plainAxis(ctx.int('axis', 0), shape.length);
    const chunk: Dim = ctx.has(1) ? undefined : 1;
    if (!dtype) return;
    if (!shape || axis === undefined) return sequence(ctx, tensorType(dtype));
    const dropped = !ctx.has(1) && ctx.int('keepdims', 1) === 0;
    sequence(ctx, tensorType(dtype, dropped ? shape.filter((_, at) => at !== axis) : withDim(shape, axis, chunk)));
  },
  ConcatFromSequence: (ctx) => {
    const element = elementOf(ctx.type(0));
    if (element?.kind !== 'tensor') return;
    const isNew = ctx.int('new_axis', 0) === 1;
    const rank = (element.shape?.length ?? 0) + (isNew ? 1 : 0);
    const axis = plainAxis(ctx.int('axis'), rank);
    if (!element.shape || axis === undefined) return ctx.set(0, element.dtype);
    const grown = isNew
      ? [...element.shape.slice(0, axis), undefined, ...element.shape.slice(axis)]
      : withDim(element.shape, axis, undefined);
    ctx.set(0, element.dtype, grown);
  },
  Optional: (ctx) => {
    const element = ctx.type(0);
    if (element) ctx.setType(0, { kind: 'optional', element });
  },
  OptionalGetElement: (ctx) => ctx.setType(0, elementOf(ctx.type(0)) ?? ctx.type(0)),
  OptionalHasElement: (ctx) => {
    ctx.set(0, 'bool', []);
    const type = ctx.type(0);
    if (!ctx.has(0)) ctx.setData(0, scalar(0));
    else if (type && type.kind !== 'optional') ctx.setData(0, scalar(1));
  },
};
