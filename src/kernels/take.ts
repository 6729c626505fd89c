/**
 * Picks positions along one axis of row-major data seen as [outer, extent, inner].
 * @param inner bytes of what one position holds
 * @returns a copy, [outer, positions, inner]
 */
export function takeAlong(bytes: Uint8Array, extent: number, inner: number, positions: readonly number[]): Uint8Array {
  const outer = extent * inner === 0 ? 0 : bytes.byteLength / (extent * inner);
  const taken = new Uint8Array(outer * positions.length * inner);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    const from = o * extent * inner;
    for (const position of positions) {
      const at = from + position * inner;
      taken.set(bytes.subarray(at, at + inner), to);
      to += inner;
    }
  }
  return taken;
}
