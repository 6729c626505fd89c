import { bug } from '../../errors.ts';
import { isDType } from '../../ir/dtype.ts';
import { stringTensor, type Tensor, tensorFromBytes } from '../../ir/tensor.ts';

/**
 * Tensors on the way to a page and back: the length of a header (4 bytes, little-endian), the header as JSON, then the bytes of
 * the tensors one behind the other, each from a multiple of 8. page-script.ts speaks the same.
 */
interface Header {
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    /** From the end of the header, padded to a multiple of 8. */
    readonly offset: number;
    readonly bytes: number;
    readonly strings?: readonly string[];
  }[];
}

const align = (offset: number): number => Math.ceil(offset / 8) * 8;

export function packTensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const parts: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  let end = 0;
  const utf8 = new TextDecoder();
  const list = [...tensors].map(([name, tensor]) => {
    const strings = tensor.strings?.().map((text) => utf8.decode(text));
    const bytes = strings ? new Uint8Array(0) : tensor.bytes();
    const offset = align(end);
    end = offset + bytes.byteLength;
    parts.push({ offset, bytes });
    const entry = { name, dtype: tensor.dtype, shape: tensor.shape, offset, bytes: bytes.byteLength };
    return strings ? { ...entry, strings } : entry;
  });
  const header = new TextEncoder().encode(JSON.stringify({ tensors: list } satisfies Header));
  const start = align(4 + header.byteLength);
  const packed = new Uint8Array(start + end);
  new DataView(packed.buffer).setUint32(0, header.byteLength, true);
  packed.set(header, 4);
  for (const { offset, bytes } of parts) packed.set(bytes, start + offset);
  return packed;
}

export function unpackTensors(packed: Uint8Array): Map<string, Tensor> {
  const length = new DataView(packed.buffer, packed.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(packed.subarray(4, 4 + length))) as Header;
  const start = align(4 + length);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, offset, bytes, strings } of header.tensors) {
    if (!isDType(dtype)) return bug(`the page gave a tensor of type ${dtype}`);
    const utf8 = new TextEncoder();
    tensors.set(
      name,
      strings
        ? stringTensor(
            shape,
            strings.map((text) => utf8.encode(text)),
          )
        : // A copy, for alignment: a Buffer's own slice would be none.
          tensorFromBytes(dtype, shape, new Uint8Array(packed.subarray(start + offset, start + offset + bytes))),
    );
  }
  return tensors;
}
