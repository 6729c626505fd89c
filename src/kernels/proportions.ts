/** Tests and intervals of shares: one share, and two shares of the same samples (paired). */

/** 97.5 % point of the standard normal distribution: two-sided 95 %. */
const z95 = 1.959963984540054;
/** 80 % point of the same: the usual power. */
const z80 = 0.8416212335729143;

/** Samples on which two models differ, one being right and the other wrong. */
export interface Discordant {
  /** Right in the base model, wrong in the candidate. */
  readonly lost: number;
  /** Wrong in the base model, right in the candidate. */
  readonly gained: number;
}

/**
 * McNemar's test in its exact form: were nothing changed, each discordant pair would be lost or gained by the toss of a
 * coin, so lost ~ Binomial(lost + gained, ½) (McNemar 1947; exact form: Fagerland, Lydersen and Laake 2013).
 * @returns `worse`, the one-sided P(X ≥ lost), and `different`, the two-sided min(1, 2·P(X ≥ max(lost, gained)))
 */
export function mcNemar({ lost, gained }: Discordant): { worse: number; different: number } {
  const pairs = lost + gained;
  const worse = fairCoinTail(pairs, lost);
  return { worse, different: Math.min(1, 2 * fairCoinTail(pairs, Math.max(lost, gained))) };
}

/** P(Z ≥ z) of the standard normal distribution (Abramowitz and Stegun 26.2.17: error below 7.5e-8). */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series;
}

/**
 * Holm's adjustment of the p-values of several tests: those below 0.05 afterwards are, all together, wrong with a chance of 5 % at most
 * (Holm 1979).
 */
export function holm(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => (values[a] as number) - (values[b] as number));
  const adjusted = values.map(() => 1);
  let least = 0;
  for (const [rank, at] of order.entries()) {
    least = Math.max(least, Math.min(1, (values.length - rank) * (values[at] as number)));
    adjusted[at] = least;
  }
  return adjusted;
}

/** P(X ≥ k) for X ~ Binomial(n, ½), summed term by term from C(n, k)·2⁻ⁿ. */
function fairCoinTail(n: number, k: number): number {
  if (k <= 0) return 1;
  // Below the middle the tail is nearly everything: its complement is summed, without loss of digits.
  if (k <= n / 2) return 1 - fairCoinTail(n, n - k + 1);
  let term = Math.exp(logChoose(n, k) - n * Math.LN2);
  let sum = 0;
  for (let heads = k; heads <= n && term > sum * 1e-18; heads++) {
    sum += term;
    term *= (n - heads) / (heads + 1);
  }
  return Math.min(1, sum);
}

/** ln C(n, k). */
export function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

/** ln n!: the sum for small n, else Stirling's series (Abramowitz and Stegun 6.1.41), whose error is below 1e-15 there. */
function logFactorial(n: number): number {
  if (n < 32) {
    let product = 1;
    for (let factor = 2; factor <= n; factor++) product *= factor;
    return Math.log(product);
  }
  const inverse = 1 / n;
  const square = inverse * inverse;
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)));
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series;
}

/** 95 % score interval of a share, `successes` of `n` (Wilson 1927); it stays within 0…1 and has a width at 0 and at n. */
export function wilsonInterval(successes: number, n: number): [low: number, high: number] {
  if (n === 0) return [0, 1];
  const share = successes / n;
  const square = z95 * z95;
  const centre = (share + square / (2 * n)) / (1 + square / n);
  const half = (z95 / (1 + square / n)) * Math.sqrt((share * (1 - share)) / n + square / (4 * n * n));
  return [successes === 0 ? 0 : Math.max(0, centre - half), successes === n ? 1 : Math.min(1, centre + half)];
}

/**
 * 95 % score interval of the drop, (lost − gained) / n, of a share judged twice on the same `n` samples (Tango 1998,
 * Statistics in Medicine 17, 891–908): all Δ with (lost − gained − nΔ)² ≤ z²·n·(2q + Δ(1 − Δ)), where q is the
 * most likely share of gained pairs given Δ. Unlike a bootstrap it keeps a width where no sample changed: z² / (n + z²).
 */
export function pairedDropInterval({ lost, gained }: Discordant, n: number): [low: number, high: number] {
  if (n === 0) return [-1, 1];
  const drop = (lost - gained) / n;
  const isInside = (delta: number): boolean => {
    const b = (2 * n - lost + gained) * delta - lost - gained;
    const c = -gained * delta * (1 - delta);
    const q = (Math.sqrt(Math.max(0, b * b - 8 * n * c)) - b) / (4 * n);
    const variance = n * Math.max(0, 2 * q + delta * (1 - delta));
    return Math.abs(lost - gained - n * delta) <= z95 * Math.sqrt(variance);
  };
  const edge = (outside: number): number => {
    if (isInside(outside)) return outside;
    let [inside, out] = [drop, outside];
    for (let step = 0; step < 60; step++) {
      const middle = (inside + out) / 2;
      if (isInside(middle)) inside = middle;
      else out = middle;
    }
    return inside;
  };
  return [edge(-1), edge(1)];
}

/**
 * Samples that a paired test needs to tell a drop of `drop` from none, at 5 % significance (two-sided) and 80 % power:
 * (1.960 + 0.842)²·σ² / drop² ≈ 7.85·σ² / drop² (Connor 1987), where σ² is the variance of the difference on one sample: for right and
 * wrong, the share of discordant samples.
 */
export function samplesNeeded(variance: number, drop: number): number {
  return Math.ceil(((z95 + z80) ** 2 * variance) / (drop * drop));
}

/** Samples of right and wrong from which on no change at all excludes a drop of `drop` (95 %, see `pairedDropInterval`): z²·(1 − drop) / drop. */
export function samplesWithoutChange(drop: number): number {
  return Math.ceil((z95 * z95 * (1 - drop)) / drop);
}
