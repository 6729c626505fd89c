import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';
import type { Tensor } from '../ir/tensor.ts';

/** Bytes that may be dropped before they are collected. */
const most = 8e6;

/**
 * Gives memory back that a long row of inferences needs no longer, before the heap grows for it: V8 itself waits for some tens of megabytes, since
 * it counts the buffers of tensors late.
 */
export class Garbage {
  readonly #collect: (options: { readonly type: 'minor' }) => void;
  readonly #port = new MessageChannel().port1;
  #bytes = 0;

  constructor() {
    // What is sent through a closed port arrives nowhere, but is taken from the sender, as the standard has it.
    this.#port.close();
    // The function is there for contexts that are made behind the flag.
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;
    setFlagsFromString('--no-expose-gc');
    // Half of a young generation is kept free, and V8 doubles it again and again for what comes by.
    setFlagsFromString('--semi-space-growth-factor=1');
  }

  /** Lets the heap grow again as it likes. */
  end(): void {
    setFlagsFromString('--semi-space-growth-factor=2');
  }

  /** Frees the memory of tensors at once: they must not be looked at again, nor anything else that lies in the same buffers. */
  free(tensors: Iterable<Tensor>): void {
    const buffers = new Set<ArrayBuffer>();
    for (const tensor of tensors) {
      if (tensor.dtype === 'string') continue;
      const { buffer } = tensor.bytes();
      if (buffer instanceof ArrayBuffer && buffer.byteLength > 0) buffers.add(buffer);
    }
    if (buffers.size > 0) this.#port.postMessage(undefined, [...buffers]);
  }

  /** These are needed no longer here; others may hold them. */
  drop(tensors: Iterable<Tensor>): void {
    for (const { byteLength } of tensors) this.#bytes += byteLength;
    if (this.#bytes < most) return;
    this.#bytes = 0;
    this.#collect({ type: 'minor' });
  }
}
