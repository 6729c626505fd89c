import type { ChannelStats } from '../../src/pass/pass.ts';
import type { Chain } from './chain.ts';

/**
 * High-bias absorption (Nagel et al. 2019, eq. 14): with y ~ N(β, γ²) ahead of a Relu, c = max(0, β − 3γ) leaves nearly all values above zero, so
 * that relu(y) = relu(y − c) + c, and W₂·(z + c) + b₂ = W₂·z + (b₂ + W₂·c). Changes both layers.
 * @param seen of what the first layer handed out before scaling
 * @param factors that its channels were divided by since
 * @returns how many channels gave something, or why none can
 */
export function absorbBias(chain: Chain, seen: ChannelStats, factors: Float64Array | undefined): number | string {
  const { first, second, spread, activation } = chain;
  if (activation !== 'relu' || chain.clip) return 'there is more than a Relu between it and the next layer';
  if (!first.bias) return 'it has no bias to take from';
  const pads = second.node.ints('pads')?.some((pad) => pad !== 0) ?? false;
  if (second.node.op === 'Conv' && (pads || (second.node.string('auto_pad') ?? 'NOTSET').startsWith('SAME')))
    return `${second.node} pads with zeros, to which nothing was added: its border would change`;
  if (second.node.op === 'MatMul') return `${second.node} has no bias to add to`;
  const taken = Float64Array.from(seen.mean, (mean, c) => {
    const deviation = Math.sqrt(Math.max(0, (seen.meanSquare[c] as number) - mean * mean));
    return Math.max(0, mean - 3 * deviation) / (factors?.[c] ?? 1);
  });
  const channels = taken.reduce((count, c) => count + (c > 0 ? 1 : 0), 0);
  if (channels === 0) return 0;
  first.bias = first.bias.map((b, c) => b - (taken[c] as number));
  const added = new Float64Array(second.outputs);
  for (let a = 0, at = 0; a < second.a; a++) {
    for (let b = 0; b < second.b; b++) {
      let sum = 0;
      for (const end = at + second.inner; at < end; at++) sum += second.data[at] as number;
      const output = second.output(a, b);
      const c = taken[Math.floor(second.input(a, b) / spread)] as number;
      added[output] = (added[output] as number) + sum * c * second.alpha;
    }
  }
  second.bias = Float32Array.from(added, (x, n) => x + (second.bias?.[n] ?? 0));
  return channels;
}
