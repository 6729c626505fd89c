import type { Node } from '../../../src/ir/graph.ts';
import type { Constant, Converter, Handler } from '../converter.ts';

function parameter(c: Converter, node: Node, index: number, what: string): Constant {
  return c.constant(node.input(index)) ?? c.fail(node, `${what} is computed, and must be a constant`);
}

/** Constants left of it are folded into weights before; what stays is a factor and a term for each channel. */
export const batchNormalization: Handler = (node, c) => {
  const x = c.in(node, 0);
  const [gamma, beta, mean, variance] = ['scale', 'bias', 'mean', 'variance'].map((what, i) =>
    parameter(c, node, i + 1, what),
  ) as [Constant, Constant, Constant, Constant];
  if (node.outputs.slice(1).some((value) => value?.isUsed)) c.fail(node, 'training has no counterpart');
  const epsilon = node.float('epsilon', 1e-5);
  const count = gamma.values.length;
  const factor = Float64Array.from(gamma.values, (value, i) => value / Math.sqrt((variance.values[i] ?? 1) + epsilon));
  const term = Float64Array.from(beta.values, (value, i) => value - (mean.values[i] ?? 0) * (factor[i] ?? 0));
  const shape = x.shape.map((_, axis) => (axis === 1 ? count : 1));
  const name = node.output().name;
  const scaled = c.binary('mul', x, c.floats(`${name}_factor`, shape, factor), name);
  c.put(node.output(), c.binary('add', scaled, c.floats(`${name}_term`, shape, term), name));
};

export const layerNormalization: Handler = (node, c) => {
  const x = c.in(node, 0);
  const rank = x.shape.length;
  if (node.outputs.slice(1).some((value) => value?.isUsed))
    c.fail(node, 'mean and deviation as outputs have no counterpart');
  const axis = (node.int('axis', -1) + rank) % rank;
  const axes = x.shape.map((_, i) => i).slice(axis);
  const shape = x.shape.slice(axis);
  const given = (index: number, what: string) => {
    if (!c.has(node, index)) return undefined;
    const { values } = parameter(c, node, index, what);
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (values.length !== count && values.length !== 1)
      c.fail(node, `${what} of another shape than the rows has no counterpart`);
    return c.floats(
      node.input(index)?.name ?? what,
      shape,
      Float32Array.from({ length: count }, (_, i) => values[values.length === 1 ? 0 : i] ?? 0),
    );
  };
  const inputs = { x, axes: c.ints(axes), gamma: given(1, 'its scale'), beta: given(2, 'its bias') };
  c.emit(node, 'layer_norm', { ...inputs, epsilon: c.epsilon(node.float('epsilon', 1e-5)) });
};

export const instanceNormalization: Handler = (node, c) => {
  const x = c.in(node, 0);
  if (x.shape.length !== 3 && x.shape.length !== 4) c.fail(node, 'only one or two axes in space are supported');
  const [gamma, beta] = [parameter(c, node, 1, 'its scale'), parameter(c, node, 2, 'its bias')];
  c.emit(node, 'instance_norm', {
    x,
    gamma: c.floats(node.input(1)?.name ?? 'gamma', gamma.shape, gamma.values),
    beta: c.floats(node.input(2)?.name ?? 'beta', beta.shape, beta.values),
    epsilon: c.epsilon(node.float('epsilon', 1e-5)),
  });
};

/** The mean of squares over channels around each, with the factor that both have: alpha / size. */
export const localResponse: Handler = (node, c) => {
  const size = node.int('size', 1);
  if (size % 2 === 0) c.fail(node, 'an even number of channels lies elsewhere there');
  c.emit(node, 'local_response_norm', {
    x: c.in(node, 0),
    size: c.int(size),
    alpha: c.scalar(node.float('alpha', 1e-4)),
    beta: c.scalar(node.float('beta', 0.75)),
    k: c.scalar(node.float('bias', 1)),
  });
};
