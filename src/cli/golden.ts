import type { Session as RuntimeSession } from '../engine/session.ts';
import { bug } from '../errors.ts';
import { isDType } from '../ir/dtype.ts';
import { stringTensor, type Tensor, tensorFromBytes } from '../ir/tensor.ts';
import { compareElements, elementsOf } from '../target/compare.ts';
import { packStrings, unpackStrings } from '../target/golden.ts';
import type { GoldenCase, GoldenTensor } from '../target/target.ts';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A tensor as golden cases hold it. */
export function toGolden(name: string, tensor: Tensor): GoldenTensor {
  const strings = tensor.strings?.().map((text) => decoder.decode(text));
  const bytes = strings ? packStrings(strings) : Uint8Array.from(tensor.bytes());
  return { name, dtype: tensor.dtype, shape: tensor.shape, bytes };
}

export function fromGolden({ dtype, shape, bytes }: GoldenTensor): Tensor {
  if (!isDType(dtype)) return bug(`a golden tensor of type ${dtype}`);
  if (dtype !== 'string') return tensorFromBytes(dtype, shape, bytes);
  const strings = unpackStrings(bytes).map((text) => encoder.encode(text));
  return stringTensor(shape, strings);
}

/** After this long no further case is begun: the first one tells most. */
const patienceMs = 5000;

/**
 * Replays golden cases through a session.
 * @returns where the first output lies outside its tolerance, in words; undefined when all are right.
 * @throws UserError when the session cannot run them.
 */
export async function goldenProblem(
  session: RuntimeSession,
  cases: readonly GoldenCase[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  const started = performance.now();
  for (const { inputs, outputs, tolerance } of cases) {
    signal?.throwIfAborted();
    const got = await session.run(new Map(inputs.map((input) => [input.name, fromGolden(input)])));
    for (const want of outputs) {
      const tensor = got.get(want.name);
      const why = tensor
        ? goldenDifference(toGolden(want.name, tensor), want, want.tolerance ?? tolerance)
        : 'is missing';
      if (why !== undefined) return `output "${want.name}" ${why}`;
    }
    if (performance.now() - started > patienceMs) break;
  }
  return undefined;
}

/** Where an output lies outside what was recorded, in words. */
export function goldenDifference(
  got: GoldenTensor,
  want: GoldenTensor,
  tolerance: GoldenCase['tolerance'],
): string | undefined {
  if (got.dtype !== want.dtype) return `is ${got.dtype} instead of ${want.dtype}`;
  if (got.shape.join() !== want.shape.join())
    return `is [${got.shape.join(', ')}] instead of [${want.shape.join(', ')}]`;
  const [a, b] = [elementsOf(got.dtype, got.bytes), elementsOf(want.dtype, want.bytes)];
  return a && b ? compareElements(a, b, tolerance).why : undefined;
}
