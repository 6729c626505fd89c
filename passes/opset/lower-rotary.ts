import type { Value } from '../../src/ir/graph.ts';
import type { Lowering } from './emit.ts';

/** RotaryEmbedding-23 of [batch, heads, positions, size] or [batch, positions, heads · size]: slices, four products, a Concat. */
export const lowerRotary: Lowering = (emit) => {
  const { node } = emit;
  const [input, cosCache, sinCache, positions] = node.inputs as [Value, Value, Value, Value | undefined];
  const shape = emit.shape(input);
  if (shape?.length !== 3 && shape?.length !== 4) return `the rank of "${input.name}" is not known to be 3 or 4`;
  const flat = shape.length === 3;
  const heads = node.int('num_heads', 0);
  const last = shape.at(-1);
  if (typeof last !== 'number' || (flat && heads === 0)) return `the size of the heads of "${input.name}" is not known`;
  const size = flat ? last / heads : last;
  const turned = node.int('rotary_embedding_dim', 0) || size;
  const headAxis = flat ? 2 : 1;
  const whole = flat ? emit.op('Reshape', [input, emit.ints(0, 0, heads, size)]) : input;
  const part = turned === size ? whole : emit.slice(whole, 0, turned, 3);
  const factor = (cache: Value): Value =>
    emit.unsqueeze(positions ? emit.op('Gather', [cache, positions]) : cache, headAxis);
  const [cos, sin] = [factor(cosCache), factor(sinCache)];
  const interleaved = node.int('interleaved', 0) === 1;
  const first = interleaved ? emit.slice(part, 0, turned, 3, 2) : emit.slice(part, 0, turned / 2, 3);
  const second = interleaved ? emit.slice(part, 1, turned, 3, 2) : emit.slice(part, turned / 2, turned, 3);
  const real = emit.op('Sub', [emit.op('Mul', [first, cos]), emit.op('Mul', [second, sin])]);
  const other = emit.op('Add', [emit.op('Mul', [first, sin]), emit.op('Mul', [second, cos])]);
  let result: Value;
  if (interleaved) {
    const pairs = emit.op('Concat', [emit.unsqueeze(real, 4), emit.unsqueeze(other, 4)], { axis: 4 });
    result = emit.op('Reshape', [pairs, emit.ints(0, 0, 0, turned)]);
    if (turned !== size) result = emit.op('Concat', [result, emit.slice(whole, turned, size, 3)], { axis: 3 });
  } else {
    const rest = turned === size ? [] : [emit.slice(whole, turned, size, 3)];
    result = emit.op('Concat', [real, other, ...rest], { axis: 3 });
  }
  return [flat ? emit.op('Reshape', [result, emit.ints(0, 0, last)]) : result];
};
