/**
 * Rows of channels at given places of row-major data.
 * @param axis where the channels lie: 1 of [N, C, …], places counting samples and positions, or −1, places counting all other dimensions
 * @param channels which of them; all where undefined
 * @returns [places, channels]
 */
export function rowsAt(
  data: ArrayLike<number>,
  shape: readonly number[],
  axis: number,
  places: Int32Array,
  channels: readonly number[] | undefined,
): Float32Array {
  const extent = (axis === 1 ? shape[1] : shape.at(-1)) ?? 1;
  const positions = axis === 1 ? shape.slice(2).reduce((a, b) => a * b, 1) : 1;
  const picked = channels ?? Array.from({ length: extent }, (_, c) => c);
  const rows = new Float32Array(places.length * picked.length);
  let to = 0;
  for (const place of places) {
    const from = Math.floor(place / positions) * extent * positions + (place % positions);
    for (const channel of picked) rows[to++] = data[from + channel * positions] as number;
  }
  return rows;
}
