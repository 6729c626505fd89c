import { equalDims, maxDims } from '../../dim.ts';
import type { Graph, Value } from '../../graph.ts';
import { type Dim, tensorType, type ValueType } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { commonShape, plainAxis } from '../shapes.ts';

function bodyOf(ctx: NodeContext, name: string): Graph | undefined {
  const attr = ctx.attr(name);
  return attr?.type === 'graph' ? attr.value : undefined;
}

/** What is true whichever of the two it is. */
function commonType(a: ValueType | undefined, b: ValueType | undefined): ValueType | undefined {
  if (!a || !b) return undefined;
  if (a.kind === 'tensor' && b.kind === 'tensor') {
    return a.dtype === b.dtype ? tensorType(a.dtype, commonShape(a.shape, b.shape)) : undefined;
  }
  if ((a.kind === 'sequence' || a.kind === 'optional') && a.kind === b.kind) {
    const element = commonType(a.element, b.element);
    return element && { kind: a.kind, element };
  }
  return undefined;
}

const ifRule: Rule = (ctx) => {
  const branches = [bodyOf(ctx, 'then_branch'), bodyOf(ctx, 'else_branch')];
  for (const branch of branches) if (branch) ctx.known.inferGraph(branch, []);
  const condition = ctx.number(0);
  const taken = condition === undefined ? undefined : branches[condition !== 0 ? 0 : 1];
  for (let index = 0; index < ctx.outputCount; index++) {
    const [yes, no] = (taken ? [taken, taken] : branches).map((branch) => branch?.outputs[index]);
    if (!yes || !no) continue;
    ctx.setType(index, taken ? ctx.known.typeOf(yes) : commonType(ctx.known.typeOf(yes), ctx.known.typeOf(no)));
    if (taken) ctx.setData(index, ctx.known.dataOf(yes));
  }
};

/** Rounds until the carried shapes stand still; each round can only forget. */
const maxRounds = 4;

/**
 * Infers a loop body with carried values: dimensions that an iteration changes become unknown.
 * @returns the types of the carried inputs that hold in every iteration.
 */
function settle(
  ctx: NodeContext,
  body: Graph,
  carried: readonly (ValueType | undefined)[],
  inputsFor: (carried: readonly (ValueType | undefined)[]) => (ValueType | undefined)[],
  firstOutput: number,
): (ValueType | undefined)[] {
  let types = [...carried];
  for (let round = 0; round < maxRounds; round++) {
    ctx.known.inferGraph(body, inputsFor(types));
    const next = types.map((type, index) => {
      const output = body.outputs[firstOutput + index];
      return weakened(type, output && ctx.known.typeOf(output), round === maxRounds - 1);
    });
    const settled = next.every((type, index) => type === types[index]);
    types = next;
    if (settled) return types;
  }
  // Never at rest: the body is seen once more with what is left.
  ctx.known.inferGraph(body, inputsFor(types));
  return types;
}

/** `type` itself when `output` agrees with it, else what both have in common. */
function weakened(type: ValueType | undefined, output: ValueType | undefined, last: boolean): ValueType | undefined {
  if (!type) return undefined;
  if (last && type.kind === 'tensor')
    return output?.kind === 'tensor' && agrees(type, output) ? type : tensorType(type.dtype);
  if (output && agrees(type, output)) return type;
  return commonType(type, output) ?? (type.kind === 'tensor' ? tensorType(type.dtype) : undefined);
}

/** All that `type` says is true of `output` too. */
function agrees(type: ValueType, output: ValueType): boolean {
  if (type.kind === 'tensor' && output.kind === 'tensor') {
    if (type.dtype !== output.dtype) return false;
    if (!type.shape) return true;
    return (
      output.shape?.length === type.shape.length &&
      type.shape.every((dim, axis) => dim === undefined || equalDims(dim, output.shape?.[axis]))
    );
  }
  if ((type.kind === 'sequence' || type.kind === 'optional') && type.kind === output.kind)
    return agrees(type.element, output.element);
  return false;
}

/** Loop(M, condition, carried…) → carried…, scans…; body(i, condition, carried…) → condition, carried…, scans… */
const loop: Rule = (ctx) => {
  const body = bodyOf(ctx, 'body');
  if (!body) return;
  const count = ctx.inputCount - 2;
  const initial = Array.from({ length: Math.max(count, body.inputs.length - 2) }, (_, index) => ctx.type(index + 2));
  const mark = ctx.known.namesMade;
  const types = settle(
    ctx,
    body,
    initial,
    (carried) => [tensorType('int64', []), tensorType('bool', []), ...carried],
    1,
  );
  for (const [index, type] of types.entries()) {
    const output = body.outputs[index + 1];
    ctx.setType(index, outside(ctx, commonType(type, output && ctx.known.typeOf(output)), mark));
  }
  const trips = tripCount(ctx, body);
  for (let index = types.length; index < ctx.outputCount; index++) {
    const output = body.outputs[index + 1];
    const type = outside(ctx, output && ctx.known.typeOf(output), mark);
    if (type?.kind === 'tensor') ctx.set(index, type.dtype, type.shape && [trips, ...type.shape]);
  }
};

/** A type without names that were made inside: there they mean something else in every iteration. */
function outside(ctx: NodeContext, type: ValueType | undefined, mark: number): ValueType | undefined {
  if (type?.kind !== 'tensor' || !type.shape) return type;
  return tensorType(type.dtype, ctx.known.forgetNames(type.shape, mark));
}

/** M, where nothing can end the loop earlier: no condition or a true one, handed on or constantly true. */
function tripCount(ctx: NodeContext, body: Graph): Dim {
  const goesOn = !ctx.has(1) || ctx.number(1) === 1;
  let condition: Value | undefined = body.outputs[0];
  while (condition?.producer?.is('Identity')) condition = condition.producer.input(0);
  const stays = condition === body.inputs[1] || (condition && ctx.known.dataOf(condition)?.items[0] === 1);
  return goesOn && stays ? maxDims(0, ctx.data(0)?.items[0]) : undefined;
}

/** Scan-9: states…, scanned inputs… → states…, stacked outputs… */
const scan: Rule = (ctx) => {
  const body = bodyOf(ctx, 'body');
  const scanned = ctx.int('num_scan_inputs', 0);
  if (!body || ctx.opset < 9) return;
  const states = ctx.inputCount - scanned;
  const axes = ctx.ints('scan_input_axes');
  let length: Dim;
  const slices = Array.from({ length: scanned }, (_, index) => {
    const type = ctx.type(states + index);
    if (type?.kind !== 'tensor' || !type.shape) return type;
    const axis = plainAxis(axes?.[index] ?? 0, type.shape.length);
    if (axis === undefined) return tensorType(type.dtype);
    const extent = type.shape[axis];
    if (length === undefined || typeof extent === 'number') length = extent;
    return tensorType(
      type.dtype,
      type.shape.filter((_dim, at) => at !== axis),
    );
  });
  const initial = Array.from({ length: states }, (_, index) => ctx.type(index));
  const mark = ctx.known.namesMade;
  const types = settle(ctx, body, initial, (carried) => [...carried, ...slices], 0);
  for (const [index, type] of types.entries()) ctx.setType(index, outside(ctx, type, mark));
  const outAxes = ctx.ints('scan_output_axes');
  for (let index = states; index < ctx.outputCount; index++) {
    const output = body.outputs[index];
    const type = outside(ctx, output && ctx.known.typeOf(output), mark);
    if (type?.kind !== 'tensor') continue;
    const rank = (type.shape?.length ?? 0) + 1;
    const axis = plainAxis(outAxes?.[index - states] ?? 0, rank);
    const shape =
      type.shape && axis !== undefined ? [...type.shape.slice(0, axis), length, ...type.shape.slice(axis)] : undefined;
    ctx.set(index, type.dtype, shape);
  }
};

export const control: RuleTable = { If: ifRule, Loop: loop, Scan: scan };
