/** Seeded numbers with a normal distribution (mulberry32, Box–Muller). */
export function normals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

export interface SyntheticLayer {
  readonly k: number;
  readonly n: number;
  /** [k, n] */
  readonly weights: Float32Array;
  /** Rows [count, k] with correlated inputs: a mix of k/4 hidden factors, falling in strength, and noise of each input. */
  rows(count: number, seed: number): Float32Array;
}

/** A linear layer and its inputs, both seeded: weights with somewhat heavy tails, inputs correlated and of unequal size. */
export function syntheticLayer(k: number, n: number, seed = 7): SyntheticLayer {
  const normal = normals(seed);
  const hidden = Math.ceil(k / 4);
  const mix = Float32Array.from({ length: hidden * k }, (_, at) => normal() / Math.sqrt(1 + Math.floor(at / k)));
  const gain = Float32Array.from({ length: k }, () => Math.exp(0.5 * normal()));
  const weights = Float32Array.from({ length: k * n }, () => 0.05 * normal() * Math.exp(0.2 * normal()));
  return {
    k,
    n,
    weights,
    rows(count, rowSeed) {
      const draw = normals(rowSeed);
      const x = new Float32Array(count * k);
      const factors = new Float64Array(hidden);
      for (let r = 0; r < count; r++) {
        for (let h = 0; h < hidden; h++) factors[h] = draw();
        for (let i = 0; i < k; i++) {
          let sum = 2 * draw();
          for (let h = 0; h < hidden; h++) sum += (factors[h] as number) * (mix[h * k + i] as number);
          x[r * k + i] = sum * (gain[i] as number);
        }
      }
      return x;
    },
  };
}
