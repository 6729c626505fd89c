import { expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { countNodes, runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { generated } from './generated.ts';

/** Processor time, since other tests run beside this one. */
async function seconds(nodes: number): Promise<{ seconds: number; left: number; blocks: number }> {
  const model = generated(nodes);
  const blocks = countNodes(model) / 22;
  const before = process.cpuUsage();
  await runSteps(model, [simplify()], { context: new TestContext() });
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, left: countNodes(model), blocks };
}

it('simplifies generated graphs in linear time', async () => {
  await seconds(1000);
  const small = await seconds(10_000);
  const large = await seconds(40_000);
  process.stdout.write(
    `10k nodes: ${small.seconds.toFixed(2)} s, ${small.left} left; 40k: ${large.seconds.toFixed(2)} s\n`,
  );
  expect(small.left).toBeLessThan(small.blocks * 5);
  expect(large.seconds / small.seconds).toBeLessThan(10);
});
