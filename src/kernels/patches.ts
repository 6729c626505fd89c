/** How a convolution looks at its input; one entry per spatial axis. */
export interface ConvWindow {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Zeros in front of and behind each axis; `same` with the odd one at the end (upper) or the start (lower), as auto_pad has it. */
  readonly pads: { readonly begin: readonly number[]; readonly end: readonly number[] } | 'same-upper' | 'same-lower';
}

/** Positions of the window over an input of these spatial extents, and the zeros in front. */
export function windowGrid(
  window: ConvWindow,
  spatial: readonly number[],
): { readonly counts: number[]; readonly begin: number[] } {
  const counts: number[] = [];
  const begin: number[] = [];
  for (const [axis, extent] of spatial.entries()) {
    const stride = window.strides[axis] ?? 1;
    const reach = ((window.kernel[axis] ?? 1) - 1) * (window.dilations[axis] ?? 1) + 1;
    if (typeof window.pads === 'string') {
      const count = Math.ceil(extent / stride);
      const total = Math.max(0, (count - 1) * stride + reach - extent);
      counts.push(count);
      begin.push(window.pads === 'same-upper' ? Math.floor(total / 2) : Math.ceil(total / 2));
    } else {
      const padded = extent + (window.pads.begin[axis] ?? 0) + (window.pads.end[axis] ?? 0);
      counts.push(Math.max(0, Math.floor((padded - reach) / stride) + 1));
      begin.push(window.pads.begin[axis] ?? 0);
    }
  }
  return { counts, begin };
}

/**
 * The patches that a convolution multiplies its weights with, at `count` places drawn from all samples and positions.
 * @param data [N, C, spatial…], row-major
 * @param next random numbers in [0, 1)
 * @returns for each group `count` rows of C / groups · kernel elements, in the order of the weights [M, C / groups, kernel…]
 */
export function samplePatches(
  data: ArrayLike<number>,
  shape: readonly number[],
  window: ConvWindow,
  groups: number,
  count: number,
  next: () => number,
): Float32Array[] {
  const [batch = 1, channels = 1, ...spatial] = shape;
  const { counts, begin } = windowGrid(window, spatial);
  const positions = counts.reduce((a, b) => a * b, 1);
  const perGroup = channels / groups;
  const taps = window.kernel.reduce((a, b) => a * b, 1);
  const area = spatial.reduce((a, b) => a * b, 1);
  const k = perGroup * taps;
  const rows = positions * batch === 0 ? 0 : count;
  const patches = Array.from({ length: groups }, () => new Float32Array(rows * k));
  const offsets = new Int32Array(taps);
  for (let row = 0; row < rows; row++) {
    const place = Math.floor(next() * positions * batch);
    const sample = Math.floor(place / positions);
    tapOffsets(offsets, place % positions, window, spatial, counts, begin);
    for (let c = 0; c < channels; c++) {
      const patch = patches[Math.floor(c / perGroup)] as Float32Array;
      const from = (sample * channels + c) * area;
      const to = row * k + (c % perGroup) * taps;
      for (let tap = 0; tap < taps; tap++) {
        const offset = offsets[tap] as number;
        if (offset >= 0) patch[to + tap] = data[from + offset] as number;
      }
    }
  }
  return patches;
}

/** Where in a channel each element of the kernel looks, with the window at `position`; −1 in the padding. */
function tapOffsets(
  offsets: Int32Array,
  position: number,
  window: ConvWindow,
  spatial: readonly number[],
  counts: readonly number[],
  begin: readonly number[],
): void {
  offsets.fill(0);
  let [rest, span, pitch] = [position, 1, 1];
  for (let axis = spatial.length - 1; axis >= 0; axis--) {
    const extent = spatial[axis] as number;
    const size = window.kernel[axis] as number;
    const start = (rest % (counts[axis] as number)) * (window.strides[axis] ?? 1) - (begin[axis] as number);
    rest = Math.floor(rest / (counts[axis] as number));
    for (let tap = 0; tap < offsets.length; tap++) {
      const at = start + (Math.floor(tap / span) % size) * (window.dilations[axis] ?? 1);
      const known = offsets[tap] as number;
      offsets[tap] = known < 0 || at < 0 || at >= extent ? -1 : known + at * pitch;
    }
    span *= size;
    pitch *= extent;
  }
}
