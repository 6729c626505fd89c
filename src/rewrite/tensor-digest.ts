import { createHash } from 'node:crypto';
import type { Tensor } from '../ir/tensor.ts';

/** How many leading bytes tell most tensors apart without reading them whole. */
const headBytes = 64;
/** Up to so many bytes, the bytes themselves are the digest: hashing takes longer, and loading what hashes takes milliseconds. */
const plainBytes = 4096;

/** Per tensor: tensors never change, so what was read once need not be read again. */
const heads = new WeakMap<Tensor, string>();
const digests = new WeakMap<Tensor, string>();

/** Type, shape and the first bytes. Equal tensors have equal heads. */
export function tensorHead(tensor: Tensor): string {
  return remember(heads, tensor, (one) => start(one, headBytes));
}

/**
 * Type, shape and the bytes of small tensors, of others their SHA-256: equal digests mean the same bits, so -0 differs from 0 and each NaN
 * equals itself. Data that is not in memory is read in pieces.
 */
export function tensorDigest(tensor: Tensor): string {
  return remember(digests, tensor, (one) =>
    one.dtype !== 'string' && one.byteLength <= plainBytes ? `=${start(one, plainBytes)}` : hash(one),
  );
}

function remember(known: WeakMap<Tensor, string>, tensor: Tensor, of: (tensor: Tensor) => string): string {
  let digest = known.get(tensor);
  if (digest === undefined) {
    digest = `${tensor.dtype}[${tensor.shape.join(',')}]${of(tensor)}`;
    known.set(tensor, digest);
  }
  return digest;
}

/** The first bytes, each as one character, in however many pieces they come. */
function start(tensor: Tensor, limit: number): string {
  let text = '';
  for (const { buffer, byteOffset, byteLength } of pieces(tensor)) {
    text += Buffer.from(buffer, byteOffset, Math.min(byteLength, limit - text.length)).toString('latin1');
    if (text.length === limit) break;
  }
  return text;
}

function hash(tensor: Tensor): string {
  const sha = createHash('sha256');
  for (const piece of pieces(tensor)) sha.update(piece);
  return sha.digest('base64');
}

function* pieces(tensor: Tensor): Generator<Uint8Array> {
  if (tensor.dtype === 'string') {
    for (const text of tensor.strings?.() ?? []) {
      yield new Uint8Array(Uint32Array.of(text.length).buffer);
      yield text;
    }
  } else if (tensor.chunks) yield* tensor.chunks();
  else yield tensor.bytes();
}
