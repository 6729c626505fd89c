import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareElements, elementsOf, type Tolerance } from './compare.ts';
import type { Finding } from './inspect.ts';
import type { Manifest, ManifestTensor } from './manifest.ts';

/** Golden inputs replayed through a bundle in one way. */
export interface Replay {
  readonly provider: string;
  /** In words: how the inputs went in, on how many threads, on what adapter. */
  readonly how: string;
  readonly cases: number;
  readonly maxAbs: number;
  readonly ok: boolean;
  /** From the start of the process until the model could answer, once, on this machine; of servers and functions. */
  readonly readyMs?: number;
}

export interface LoadedTensor extends ManifestTensor {
  readonly bytes: Uint8Array;
}

export interface LoadedCase {
  /** Whose outputs these are, in a bundle that holds several variants. */
  readonly variant?: string | undefined;
  readonly inputs: readonly LoadedTensor[];
  readonly outputs: readonly LoadedTensor[];
  readonly tolerance: Tolerance;
}

/** An output that a bundle gave. */
export interface GotTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export async function loadGolden(dir: string, manifest: Manifest): Promise<LoadedCase[]> {
  const read = (tensors: readonly ManifestTensor[]): Promise<LoadedTensor[]> =>
    Promise.all(tensors.map(async (tensor) => ({ ...tensor, bytes: await readFile(join(dir, tensor.file)) })));
  const cases: LoadedCase[] = [];
  for (const { variant, inputs, outputs, tolerance } of manifest.golden) {
    cases.push({ variant, inputs: await read(inputs), outputs: await read(outputs), tolerance });
  }
  return cases;
}

/** Judges the outputs of all cases. Pushes what is wrong to `findings`; `outputs[n]` belongs to `cases[n]`. */
export function judge(
  way: { readonly provider: string; readonly how: string },
  cases: readonly LoadedCase[],
  outputs: readonly (readonly GotTensor[])[],
  findings: Finding[],
): Replay {
  let maxAbs = 0;
  let ok = outputs.length === cases.length;
  for (const [n, { outputs: expected, tolerance }] of cases.entries()) {
    for (const want of expected) {
      const got = outputs[n]?.find(({ name }) => name === want.name);
      const { why, difference } = judgeTensor(got, want, want.tolerance ?? tolerance);
      maxAbs = Math.max(maxAbs, difference);
      if (why === undefined) continue;
      ok = false;
      const message = `Case ${n}, output "${want.name}" (${way.how}): ${why}.`;
      findings.push({ code: 'golden-mismatch', message, file: want.file });
    }
  }
  return { ...way, cases: cases.length, maxAbs, ok };
}

function judgeTensor(
  got: GotTensor | undefined,
  want: LoadedTensor,
  tolerance: Tolerance,
): { why: string | undefined; difference: number } {
  if (!got) return { why: 'is not in the answer', difference: 0 };
  if (got.dtype !== want.dtype) return { why: `is ${got.dtype} instead of ${want.dtype}`, difference: 0 };
  if (got.shape.join() !== want.shape.join()) {
    return { why: `has shape [${got.shape.join(', ')}] instead of [${want.shape.join(', ')}]`, difference: 0 };
  }
  if (got.bytes.length !== want.bytes.length && want.dtype !== 'string') {
    return { why: `has ${got.bytes.length} bytes instead of ${want.bytes.length}`, difference: 0 };
  }
  const expected = elementsOf(want.dtype, want.bytes);
  const actual = elementsOf(got.dtype, got.bytes);
  if (!expected || !actual) return { why: `has element type ${want.dtype}, which cannot be compared`, difference: 0 };
  const { why, maxAbs } = compareElements(actual, expected, tolerance);
  return { why, difference: maxAbs };
}
