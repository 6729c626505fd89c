import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cloneModel } from '../ir/clone.ts';
import type { Model, Node } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { openModel } from './open-model.ts';
import { parseTrace } from './profile.ts';
import { median } from './stats.ts';

/** Inferences profiled after the first, which pays for memory. */
const runs = 5;

/**
 * Milliseconds of one inference by node of the main graph (by the name of its first output), from the profile that ONNX Runtime
 * writes on the CPU at its usual optimization level. What it fused is booked on the first node of the fusion; nodes that it folded
 * away have no entry.
 */
export async function nodeTimes(
  model: Model,
  feeds: ReadonlyMap<string, Tensor>,
  signal?: AbortSignal,
): Promise<Map<string, number>> {
  const copy = cloneModel(model);
  const outputs: string[] = [];
  for (const node of copy.graph.nodes) {
    node.name = `mlp${outputs.length}n`;
    outputs.push(node.outputs.find((value) => value !== undefined)?.name ?? '');
  }
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-profile-'));
  try {
    const session = await openModel(copy, { profileFilePrefix: join(dir, 'profile') });
    try {
      signal?.throwIfAborted();
      await session.timer(feeds)({ count: runs + 1, settleMs: 0 });
    } finally {
      // The profile is written when the session ends.
      await session.dispose();
    }
    const [file] = await readdir(dir);
    if (file === undefined) return new Map();
    return readTimes(await readFile(join(dir, file), 'utf8'), outputs, convolutionsByOutput(copy));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Convolutions in blocked layout (`<output>_nchwc`) are named by the value that they, or the Add and Relu fused into them, give out. */
function convolutionsByOutput(model: Model): Map<string, string> {
  const found = new Map<string, string>();
  for (const node of model.graph.nodes) {
    const conv = convolutionBefore(node);
    const [output] = node.outputs;
    if (conv && output) found.set(output.name, conv);
  }
  return found;
}

function convolutionBefore(node: Node): string | undefined {
  for (let at: Node | undefined = node, steps = 0; at && steps < 4; steps++) {
    if (at.is('Conv')) return at.outputs[0]?.name;
    const producers: (Node | undefined)[] = at.inputs.map((value) => value?.producer);
    at = producers.find((producer) => producer?.is('Conv')) ?? producers[0];
  }
  return undefined;
}

/** Median over the inferences of what was spent in the kernels of each node. Events of an inference follow each other. */
function readTimes(
  text: string,
  outputs: readonly string[],
  convolutions: ReadonlyMap<string, string>,
): Map<string, number> {
  const byNode = new Map<string, number[]>();
  const events = parseTrace(text);
  for (const { cat, name, dur } of events) {
    const kernel = /^(.*)_kernel_time$/.exec(name)?.[1];
    if (cat !== 'Node' || kernel === undefined) continue;
    const token = /mlp(\d+)n/.exec(kernel)?.[1];
    const blocked = /^(.*)_nchwc$/.exec(kernel)?.[1];
    const output = token === undefined ? convolutions.get(blocked ?? '') : outputs[Number(token)];
    if (output === undefined) continue;
    const known = byNode.get(output);
    if (known) known.push(dur / 1000);
    else byNode.set(output, [dur / 1000]);
  }
  // A node of a loop's body runs several times in one inference.
  const times = ([output, all]: [string, number[]]): [string, number] => [
    output,
    median(all) * Math.max(1, Math.round(all.length / (runs + 1))),
  ];
  return new Map([...byNode].map(times));
}
