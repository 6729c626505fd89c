import { cutModel } from '../../../src/ir/cut.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Judge, Runner } from '../../../src/pass/judge.ts';
import { integerCore, type Observed } from './alone.ts';
import type { Layer } from './layers.ts';

/** Milliseconds that a model of the layer alone takes on one sample. */
export async function timeFloat(model: Model, layer: Layer, single: Observed, judge: Judge): Promise<number> {
  const runner = await judge.open(model);
  try {
    return await runner.time(feedsOf(layer, single));
  } finally {
    await runner.dispose();
  }
}

/** What the layer has to do on one sample, from its shapes there. */
export function workOf(base: Model, layer: Layer, single: Observed): { macs: number; elements: number } {
  const known = layer.inputs.flatMap(({ name }) => {
    const tensor = single.get(name);
    return tensor ? [{ name, type: tensorType(tensor.dtype, tensor.shape) }] : [];
  });
  const model = cutModel(
    base,
    known,
    layer.outputs.map(({ name }) => name),
  );
  const seen = [...layer.inputs, ...layer.outputs].map(({ name }) => elementCount(single.get(name)?.shape ?? [0]));
  return { macs: countMacs(model, inferShapes(model)).total, elements: seen.reduce((sum, count) => sum + count, 0) };
}

export interface Time {
  readonly ms: number;
  readonly borderMs: number | undefined;
}

/** Integers on both sides where the format has them: what stands at the border is counted where formats meet. */
export async function timeOf(
  model: Model,
  runner: Runner,
  layer: Layer,
  single: Observed,
  judge: Judge,
): Promise<Time> {
  const whole = await runner.time(feedsOf(layer, single));
  const core = integerCore(model);
  if (!core) return { ms: whole, borderMs: undefined };
  const codes = cutModel(model, [], core.inputs);
  const making = await judge.open(codes);
  const timed = await judge.open(core.model);
  try {
    const ms = await timed.time(await making.run(feedsOf(layer, single)));
    return { ms, borderMs: Math.max(0, whole - ms) };
  } finally {
    await making.dispose();
    await timed.dispose();
  }
}

export function feedsOf(layer: Layer, observed: Observed): Map<string, Tensor> {
  const feeds = new Map<string, Tensor>();
  for (const { name } of layer.inputs) {
    const tensor = observed.get(name);
    if (tensor) feeds.set(name, tensor);
  }
  return feeds;
}
