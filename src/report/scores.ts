/** Scores of single samples, packed into the report. */
import type { ScoresText } from './evidence.ts';

/** Beyond this the report would grow by more than half a megabyte a variant; what is left is the interval against base. */
const mostBytes = 400_000;

/** Undefined where there are too many of them, or one is not finite. */
export function packScores(
  scores: readonly number[],
  { higherIsBetter, graded = false }: { readonly higherIsBetter: boolean; readonly graded?: boolean },
): ScoresText | undefined {
  const isRight = higherIsBetter && !graded && scores.every((score) => score === 0 || score === 1);
  const bytes = isRight ? packBits(scores) : packFloats(scores);
  if (bytes.length > mostBytes || !scores.every(Number.isFinite)) return undefined;
  return {
    form: isRight ? 'right' : 'float32',
    higherIsBetter,
    count: scores.length,
    base64: Buffer.from(bytes).toString('base64'),
  };
}

/** Empty where the text does not hold what it says. */
export function unpackScores({ form, count, base64 }: ScoresText): Float64Array {
  const bytes = Buffer.from(base64, 'base64');
  const needed = form === 'right' ? Math.ceil(count / 8) : 4 * count;
  if (bytes.length !== needed) return new Float64Array(0);
  return Float64Array.from({ length: count }, (_, at) =>
    form === 'right' ? ((bytes[at >> 3] ?? 0) >> (at & 7)) & 1 : bytes.readFloatLE(4 * at),
  );
}

function packBits(scores: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(scores.length / 8));
  for (const [at, score] of scores.entries()) if (score === 1) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  return bytes;
}

function packFloats(scores: readonly number[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4 * scores.length));
  for (const [at, score] of scores.entries()) bytes.setFloat32(4 * at, score, true);
  return new Uint8Array(bytes.buffer);
}
