import { openSession } from '../../../src/engine/session.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import type { Feeds } from '../../support/ort.ts';

/**
 * The runtime as plain as it gets: no optimizer, and no prepacking, which computes a product with a constant weight in
 * another order than one with a computed weight of the same bits.
 */
export async function runPlain(bytes: Uint8Array, feeds: readonly Feeds[]): Promise<Feeds[]> {
  const session = await openSession(bytes, {
    graphOptimizationLevel: 'disabled',
    threads: 1,
    extra: { 'session.disable_prepacking': '1' },
  });
  const results: Feeds[] = [];
  for (const one of feeds) results.push(await session.run(one));
  await session.dispose();
  return results;
}

/** Outputs that differ in type, shape or any bit. */
export function differences(expected: Feeds, actual: Feeds): string[] {
  const form = (tensor: Tensor | undefined) => `${tensor?.dtype}[${tensor?.shape}]`;
  return [...expected].flatMap(([name, want]) => {
    const got = actual.get(name);
    if (form(got) !== form(want)) return [`${name}: ${form(got)}, not ${form(want)}`];
    return got && Buffer.compare(got.bytes(), want.bytes()) === 0 ? [] : [`${name}: other bits`];
  });
}
