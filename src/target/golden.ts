import type { ManifestGolden, ManifestTensor } from './manifest.ts';
import type { BundleFile, GoldenCase, GoldenTensor } from './target.ts';

/** The bytes of a string tensor in a golden case: each element as UTF-8 after its length in four bytes, little-endian. */
export function packStrings(values: readonly string[]): Uint8Array {
  const parts = values.flatMap((value) => {
    const text = Buffer.from(value, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return [length, text];
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** Reads what `packStrings` wrote. Throws RangeError where a length runs past the end. */
export function unpackStrings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: string[] = [];
  for (let at = 0; at < buffer.length; ) {
    const length = buffer.readUInt32LE(at);
    if (at + 4 + length > buffer.length) throw new RangeError('a string runs past the end of its tensor');
    values.push(buffer.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return values;
}

/** Recorded cases of one variant; `variant` only where the bundle holds several. */
export interface GoldenSet {
  readonly variant?: string;
  readonly cases: readonly GoldenCase[];
}

/**
 * Golden cases as files `golden/<case>/input-<n>.bin` and `output-<n>.bin`, and their rows in the manifest. What is equal to a
 * tensor of an earlier case (the inputs of other variants) is not written again.
 */
export function goldenFiles(sets: readonly GoldenSet[]): { files: BundleFile[]; manifest: ManifestGolden[] } {
  const files: (BundleFile & { readonly bytes: Uint8Array | string })[] = [];
  const all = sets.flatMap(({ variant, cases }) => cases.map((one) => ({ variant, ...one })));
  const manifest = all.map(({ variant, inputs, outputs, tolerance }, n) => {
    const put = (tensors: readonly GoldenTensor[], role: string): ManifestTensor[] =>
      tensors.map(({ name, dtype, shape, bytes, tolerance }, i) => {
        const twin =
          sets.length > 1 ? files.find((file) => Buffer.compare(Buffer.from(file.bytes), bytes) === 0) : undefined;
        const path = twin?.path ?? `golden/${n}/${role}-${i}.bin`;
        if (!twin) files.push({ path, bytes });
        const own = tolerance && { tolerance: { rtol: tolerance.rtol, atol: tolerance.atol } };
        return { name, dtype, shape, file: path, ...own };
      });
    return {
      ...(variant !== undefined && { variant }),
      inputs: put(inputs, 'input'),
      outputs: put(outputs, 'output'),
      tolerance: { rtol: tolerance.rtol, atol: tolerance.atol },
    };
  });
  return { files, manifest };
}
