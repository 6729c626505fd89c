/** Sound in −1…1, its channels mixed to one. */
export interface Sound {
  readonly sampleRate: number;
  readonly samples: Float32Array;
}

/**
 * Reads a RIFF WAVE file: whole numbers of 8, 16, 24 and 32 bits, floats of 32 and 64; plain and extensible headers. Channels are averaged.
 * A data chunk of unknown length (0 or 0xffffffff, as streaming writers leave it) reaches to the end of the file.
 * @throws Error saying what is wrong with it
 */
export function readWav(bytes: Uint8Array): Sound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || tag(0) !== 'RIFF' || tag(8) !== 'WAVE')
    throw new Error('it is no WAV file (no RIFF and WAVE at its start)');
  let format: Format | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const id = tag(at);
    const declared = view.getUint32(at + 4, true);
    const start = at + 8;
    if (id === 'fmt ') {
      if (declared < 16 || start + declared > bytes.length) throw new Error('its format chunk is cut short');
      format = readFormat(view, start, declared);
    } else if (id === 'data') {
      if (!format) throw new Error('its data come before their format');
      const isOpen = declared === 0xffffffff || (declared === 0 && !endsInChunks(bytes, view, start));
      const size = isOpen ? bytes.length - start : declared;
      if (start + size > bytes.length)
        throw new Error(`it is cut short: ${declared} bytes of sound are promised, ${bytes.length - start} are there`);
      return { sampleRate: format.sampleRate, samples: mix(view, start, size, format) };
    }
    at = start + declared + (declared % 2);
  }
  throw new Error('it holds no sound (no data chunk)');
}

/** Whether what follows are chunks up to the end, so that a sound of 0 bytes is one, and not of unknown length. */
function endsInChunks(bytes: Uint8Array, view: DataView, start: number): boolean {
  let at = start;
  while (at + 8 <= bytes.length) at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) % 2);
  return at === bytes.length || at === bytes.length + 1;
}

interface Format {
  readonly sampleRate: number;
  readonly channels: number;
  readonly bits: number;
  readonly isFloat: boolean;
}

function readFormat(view: DataView, at: number, size: number): Format {
  const plain = view.getUint16(at, true);
  // Extensible: the code proper is the start of a GUID.
  const code = plain === 0xfffe && size >= 40 ? view.getUint16(at + 24, true) : plain;
  const channels = view.getUint16(at + 2, true);
  const sampleRate = view.getUint32(at + 4, true);
  const bits = view.getUint16(at + 14, true);
  const known = (code === 1 && [8, 16, 24, 32].includes(bits)) || (code === 3 && [32, 64].includes(bits));
  if (!known)
    throw new Error(
      `its sound is coded as format ${code} with ${bits} bits; PCM of 8, 16, 24, 32 bits and floats can be read`,
    );
  if (channels === 0 || channels > 64) throw new Error(`it has ${channels} channels`);
  if (sampleRate === 0 || sampleRate > 1_000_000) throw new Error(`it has a sample rate of ${sampleRate}`);
  return { sampleRate, channels, bits, isFloat: code === 3 };
}

function mix(view: DataView, start: number, size: number, { channels, bits, isFloat }: Format): Float32Array {
  const width = bits / 8;
  const frames = Math.floor(size / (width * channels));
  const read = reader(view, bits, isFloat);
  const samples = new Float32Array(frames);
  for (let frame = 0, at = start; frame < frames; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++, at += width) sum += read(at);
    samples[frame] = sum / channels;
  }
  return samples;
}

function reader(view: DataView, bits: number, isFloat: boolean): (at: number) => number {
  if (isFloat) return bits === 32 ? (at) => view.getFloat32(at, true) : (at) => view.getFloat64(at, true);
  if (bits === 8) return (at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (at) => view.getInt16(at, true) / 32768;
  if (bits === 24) return (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608;
  return (at) => view.getInt32(at, true) / 2147483648;
}
