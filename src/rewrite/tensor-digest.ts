import { createHash } from 'node:crypto';
import type { Tensor } from '../ir/tensor.ts';

/** How many leading bytes tell most tensors apart without reading them whole. */
const headBytes = 4096;

/** Digests per tensor: tensors never change, so what was read once need not be read again. */
const heads = new WeakMap<Tensor, string>();
const digests = new WeakMap<Tensor, string>();

/** Type, shape and SHA-256 of the first bytes. Equal tensors have equal heads. */
export function tensorHead(tensor: Tensor): string {
  return remember(heads, tensor, headBytes);
}

/**
 * Type, shape and SHA-256 of all bytes: equal digests mean the same bits, so -0 differs from 0 and each NaN equals
 * itself. Data that is not in memory is read in pieces.
 */
export function tensorDigest(tensor: Tensor): string {
  return tensor.byteLength <= headBytes && tensor.dtype !== 'string'
    ? tensorHead(tensor)
    : remember(digests, tensor, Number.POSITIVE_INFINITY);
}

function remember(known: WeakMap<Tensor, string>, tensor: Tensor, limit: number): string {
  let digest = known.get(tensor);
  if (digest === undefined) {
    digest = `${tensor.dtype}[${tensor.shape.join(',')}]${hash(tensor, limit)}`;
    known.set(tensor, digest);
  }
  return digest;
}

function hash(tensor: Tensor, limit: number): string {
  const sha = createHash('sha256');
  let left = limit;
  for (const piece of pieces(tensor)) {
    sha.update(piece.length > left ? piece.subarray(0, left) : piece);
    left -= piece.length;
    if (left <= 0) break;
  }
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
