import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliBytes } from './compressed-size.ts';

/** What a visitor of a browser bundle downloads before the first prediction, for one way of running the model. */
export interface Download {
  readonly variant: string;
  readonly provider: string;
  /** Of the runtime and of the model, from a host that compresses nothing. */
  readonly runtimeBytes: number;
  readonly modelBytes: number;
  /** Both together, from a host that compresses with brotli. */
  readonly brotliBytes: number;
}

interface File {
  readonly pieces: readonly {
    readonly url: string;
    readonly bytes: number;
    readonly packed?: { readonly bytes: number };
  }[];
}

/** The parts of model.json that matter here. */
interface Description {
  readonly ways: readonly { readonly variant: string; readonly provider: string }[];
  readonly variants: readonly { readonly name: string; readonly files: readonly File[] }[];
  readonly runtimes: Readonly<Record<string, { readonly wasm: File } | undefined>>;
}

/**
 * Reads a browser bundle that was just written. WebGPU is counted with the smallest of its runtimes; the page and the loader
 * (under 100 KB) are left out.
 */
export async function browserDownloads(dir: string): Promise<Download[]> {
  const folder = join(dir, 'mlpack-model');
  const { ways, variants, runtimes } = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')) as Description;
  const brotli = new Map<string, number>();
  const packed = async ({ pieces }: File): Promise<number> => {
    let sum = 0;
    for (const { url } of pieces) {
      const bytes = brotli.get(url) ?? (await brotliBytes(join(folder, url)));
      brotli.set(url, bytes);
      sum += bytes;
    }
    return sum;
  };
  const downloads: Download[] = [];
  for (const { variant, provider } of ways) {
    const files = variants.find(({ name }) => name === variant)?.files ?? [];
    const runtime = provider === 'wasm' ? runtimes.wasm : (runtimes.jspi ?? runtimes.asyncify);
    if (!runtime) continue;
    const runtimeBytes = plain(runtime.wasm);
    const modelBytes = files.reduce((sum, file) => sum + plain(file), 0);
    let all = await packed(runtime.wasm);
    for (const file of files) all += await packed(file);
    downloads.push({ variant, provider, runtimeBytes, modelBytes, brotliBytes: all });
  }
  return downloads;
}

function plain({ pieces }: File): number {
  return pieces.reduce((sum, piece) => sum + (piece.packed?.bytes ?? piece.bytes), 0);
}
