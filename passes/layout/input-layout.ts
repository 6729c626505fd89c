import { UserError } from '../../src/errors.ts';
import type { Graph, Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { invert } from '../../src/ir/permutation.ts';
import { type Shape, tensorType } from '../../src/ir/types.ts';
import { suggestion } from '../../src/messages.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, exact, type PassContext } from '../../src/pass/pass.ts';
import { provenanceKey } from '../../src/rewrite/edit.ts';

/** Which of the two orders callers are to use; the model has the other one. */
type Order = 'nhwc' | 'nchw';

const rule = 'input-layout';

/** What every means in a list of names. */
const every = '*';

const help = (order: string): string =>
  `Inputs and outputs that callers are to give and get as ${order}, by name (* for all of rank 3 to 5)`;

export const inputLayout = definePass({
  id: 'input-layout',
  summary: 'Take inputs and give outputs with channels last where the model has them first, or the other way round',
  options: {
    nhwc: opt.list([], help('[batch, height, width, channels]')),
    nchw: opt.list([], help('[batch, channels, height, width]')),
  },
  rules: { [rule]: 'a Transpose between the order that callers use and that of the model' },
  numerics: () => exact,
  run(model, options, ctx) {
    const { types } = inferShapes(model, { write: false });
    const shapeOf = (value: Value): Shape | undefined => {
      const type = types.get(value) ?? value.type;
      return type?.kind === 'tensor' ? type.shape : undefined;
    };
    // All are looked up before anything is changed.
    const edits = (['nhwc', 'nchw'] as const).flatMap((order) =>
      options[order].flatMap((name) =>
        found(model, name, shapeOf).map((value) => ({ value, order, shape: shapeOf(value) as Shape })),
      ),
    );
    const orders = new Map<Value, Order>();
    const open = edits.filter(({ value, order }) => {
      const other = orders.get(value);
      if (other !== undefined && other !== order) throw twoOrders(value.name);
      orders.set(value, order);
      // A name may be said twice, or be one of all.
      return other === undefined && !isTurned(value, order);
    });
    for (const { value, order, shape } of open) turn(model.graph, value, shape, order, ctx);
    return { changed: open.length > 0 };
  },
});

const twoOrders = (name: string): UserError =>
  new UserError('layout.both', `"${name}" is to be NHWC and NCHW at once: name it under one of --nhwc and --nchw.`);

/** @throws UserError for a name that is neither an input nor an output, or one of a rank without channels and places. */
function found(model: Model, name: string, shapeOf: (value: Value) => Shape | undefined): Value[] {
  const { graph } = model;
  const all = [...new Set([...graph.inputs, ...graph.outputs])].filter((value) => value.initializer === undefined);
  if (name === every) {
    const fitting = all.filter((value) => isImage(shapeOf(value)) && !refusal(value));
    if (fitting.length > 0) return fitting;
    throw new UserError('layout.none', 'the model has no input or output of rank 3 to 5.');
  }
  const value = all.find((one) => one.name === name);
  if (!value) {
    const names = all.map((one) => one.name);
    throw new UserError(
      'layout.unknown',
      `the model has no input or output "${name}"${suggestion(name, names)}; it has ${names.join(', ')}.`,
    );
  }
  const shape = shapeOf(value);
  if (!isImage(shape))
    throw new UserError(
      'layout.rank',
      `"${name}" is ${shape ? `of rank ${shape.length}` : 'of unknown rank'}: channels first and last are the same but for rank 3 to 5.`,
    );
  const why = refusal(value);
  if (why) throw new UserError('layout.passed', why);
  return [value];
}

const isImage = (shape: Shape | undefined): boolean => shape !== undefined && shape.length >= 3 && shape.length <= 5;

const refusal = (value: Value): string | undefined =>
  value.isGraphInput && value.graph.outputs.includes(value)
    ? `"${value.name}" is an input and an output at once.`
    : undefined;

/** Between the model's order and the callers': perm of the Transpose behind an input. */
function permFor(order: Order, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  // Channels last to channels first, and back.
  return order === 'nhwc' ? [0, rank - 1, ...axes.slice(1, -1)] : [0, ...axes.slice(2), 1];
}

/** An earlier run of this pass did it. */
function isTurned(value: Value, order: Order): boolean {
  const node = value.isGraphInput ? value.consumers[0] : value.producer;
  const perm =
    node?.is('Transpose') && node.meta?.get(provenanceKey) === `${rule}(${value.name})` ? node.ints('perm') : undefined;
  const wanted = perm && permFor(order, perm.length);
  return wanted !== undefined && perm?.join() === (value.isGraphInput ? wanted : invert(wanted)).join();
}

function turn(graph: Graph, value: Value, shape: Shape, order: Order, ctx: PassContext): void {
  const perm = permFor(order, shape.length);
  const back = invert(perm);
  const outside = back.map((axis) => shape[axis]);
  const type = value.type;
  const dtype = type?.kind === 'tensor' ? type.dtype : undefined;
  if (!dtype) throw new UserError('layout.type', `the element type of "${value.name}" is not known.`);
  const { name } = value;
  let node: Node;
  if (value.isGraphInput) {
    node = before(graph, { inputs: [value], attrs: { perm } });
    node.output().type = tensorType(dtype, shape);
    graph.replaceUses(value, node.output());
    node.setInput(0, value);
    value.type = tensorType(dtype, outside);
  } else {
    node = graph.append('Transpose', { inputs: [value], attrs: { perm: back } });
    for (const [index, output] of graph.outputs.entries()) if (output === value) graph.setOutput(index, node.output());
    node.output().type = tensorType(dtype, outside);
    value.name = graph.freshName(`${name}_${order === 'nhwc' ? 'nchw' : 'nhwc'}`);
    node.output().name = name;
  }
  node.meta = new Map([[provenanceKey, `${rule}(${name})`]]);
  ctx.applied(rule, node, `"${name}" is [${outside.map((dim) => dim ?? '?').join(', ')}]`);
}

/** In front of all other nodes. */
function before(graph: Graph, init: Parameters<Graph['append']>[1]): Node {
  const first = graph.firstNode;
  return first ? graph.insertBefore(first, 'Transpose', init) : graph.append('Transpose', init);
}
