import { castTensor, isCastable, numbersOf } from '../data/cast.ts';
import { cloneModel } from '../ir/clone.ts';
import { constantOf } from '../ir/constant.ts';
import { cutModel } from '../ir/cut.ts';
import { capturedValues, type Model, type Node, type Value } from '../ir/graph.ts';
import { type Tensor, tensorFrom } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import { randomNumbers } from '../kernels/random.ts';
import { openObserved } from './observe.ts';
import { openModel } from './open-model.ts';

type Feeds = ReadonlyMap<string, Tensor>;

/** Largest difference that rounding explains, of each output in each case. */
export type RoundingSpread = ReadonlyMap<string, number>;

/**
 * By how much two right implementations may round the same value apart: sums of K products in float32 differ by about √K · 2⁻²⁴ of
 * themselves, 1e-6 at K = 300. It only decides ties, and one tie in ten thousand is enough: what is rounded after every layer is
 * chaotic. MobileNetV1, logits of 40 pictures: 35 % of them a step off with 1e-6 (22 % with 1e-7, 39 % with 1e-5), two steps at most, and 30 %,
 * two at most, between ONNX Runtime's integer kernels and its float ones.
 */
export const jitter = 1e-6;
const jitteredModels = 2;
/** Draws of what follows the last rounding. */
const draws = 4;

/**
 * How far the outputs of a model with quantized activations may lie from those of another right implementation (processor,
 * runtime), found out on the model itself. It is evaluated as it is written, in float, with all scales of QuantizeLinear moved by a
 * millionth, and compared at the last values that are rounded; so many of their steps, and one more, are then sent through what
 * follows (a softmax, a sigmoid, layers in float). Kernels that saturate or are wrong do not enter: no integer kernel runs.
 * @param cases inputs, each one's outputs judged for itself
 * @returns undefined where nothing is rounded to constant scales, or the last rounding cannot be told from what follows
 * @throws UserError when the runtime cannot evaluate the model without its optimizer.
 */
export async function roundingSpread(
  model: Model,
  cases: readonly Feeds[],
  signal?: AbortSignal,
): Promise<RoundingSpread[] | undefined> {
  const rounds = [...model.graphs()].some((graph) => [...graph.nodes].some((node) => node.is('QuantizeLinear')));
  const last = rounds ? lastRounded(model) : undefined;
  if (!last || last.size === 0 || cases.length === 0) return undefined;
  const names = [...last.keys()];
  const references = await valuesOf(model, names, cases, signal);
  let steps = 0;
  for (let seed = 1; seed <= jitteredModels; seed++) {
    const others = await valuesOf(jittered(model, seed), names, cases, signal);
    for (const [n, reference] of references.entries())
      for (const [name, step] of last)
        steps = Math.max(steps, stepsApart(reference.get(name), others[n]?.get(name), step));
  }
  // Another tie than those that were met here may be decided another way, too.
  const allowed = Math.round(steps) + 1;
  return await throughTail(model, last, references, { cases, allowed, signal });
}

/**
 * The values behind which nothing is rounded any more, with the size of their step; outputs that are integers themselves have steps
 * of 1. Undefined where a scale is not constant, or integers go on into other operators.
 */
function lastRounded(model: Model): Map<string, number> | undefined {
  const found = new Map<string, number>();
  const seen = new Set<Value>();
  const pending: Value[] = [...model.graph.outputs];
  for (let value = pending.pop(); value; value = pending.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const node = value.producer;
    if (!node) continue;
    if (node.op === 'DequantizeLinear' && !constantOf(node.input(0))) {
      const step = largest(constantOf(node.input(1)));
      if (step === undefined) return undefined;
      found.set(value.name, step);
    } else if (node.op === 'QuantizeLinear') {
      if (!value.isGraphOutput || value.useCount > 0) return undefined;
      found.set(value.name, 1);
    } else {
      for (const input of [...node.inputs, ...capturedValues(node)]) if (input) pending.push(input);
    }
  }
  return found;
}

function largest(scale: Tensor | undefined): number | undefined {
  if (!scale || !isCastable(scale.dtype)) return undefined;
  const step = Math.max(0, ...numbersOf(scale));
  return step > 0 && Number.isFinite(step) ? step : undefined;
}

function jittered(model: Model, seed: number): Model {
  const copy = cloneModel(model);
  jitterScales(copy, seed);
  return copy;
}

/** Activations are rounded on scales that are a millionth off, each another way. */
export function jitterScales(model: Model, seed: number): void {
  const next = randomNumbers(seed);
  const nodes: Node[] = [...model.graph.nodes].filter(({ op }) => op === 'QuantizeLinear');
  for (const node of nodes) {
    const scale = constantOf(node.input(1));
    if (scale?.dtype !== 'float32' || constantOf(node.input(0))) continue;
    const moved = Float32Array.from(numbersOf(scale), (one) => one * (1 + jitter * (2 * next() - 1)));
    const { graph } = node;
    node.setInput(
      1,
      graph.addInitializer(graph.freshName('jittered_scale'), tensorFrom('float32', scale.shape, moved)),
    );
  }
}

async function valuesOf(
  model: Model,
  names: readonly string[],
  cases: readonly Feeds[],
  signal?: AbortSignal,
): Promise<Feeds[]> {
  const session = await openObserved(model, names);
  try {
    const values: Feeds[] = [];
    for (const feeds of cases) {
      signal?.throwIfAborted();
      values.push(await session.run(feeds, names));
    }
    return values;
  } finally {
    await session.dispose();
  }
}

function stepsApart(a: Tensor | undefined, b: Tensor | undefined, step: number): number {
  if (!a || !b || a.byteLength !== b.byteLength) return 0;
  return farthest(a, b) / step;
}

/** Largest difference of two elements that are finite in both. */
export function farthest(a: Tensor, b: Tensor): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  let most = 0;
  for (let i = 0; i < left.length; i++) {
    const difference = Math.abs((left[i] ?? 0) - (right[i] ?? 0));
    if (difference > most && Number.isFinite(difference)) most = difference;
  }
  return most;
}

/** What so many steps at the last rounded values come to at the outputs. */
async function throughTail(
  model: Model,
  last: ReadonlyMap<string, number>,
  references: readonly Feeds[],
  { cases, allowed, signal }: { cases: readonly Feeds[]; allowed: number; signal: AbortSignal | undefined },
): Promise<RoundingSpread[]> {
  const behind = model.graph.outputs.map(({ name }) => name).filter((name) => !last.has(name));
  const direct = model.graph.outputs.flatMap(({ name }): [string, number][] => {
    const step = last.get(name);
    return step === undefined ? [] : [[name, allowed * step]];
  });
  if (behind.length === 0) return cases.map(() => new Map(direct));
  const [first] = references;
  const inputs = [...last.keys()].map((name) => {
    const known = first?.get(name);
    return known
      ? {
          name,
          type: tensorType(
            known.dtype,
            known.shape.map(() => undefined),
          ),
        }
      : { name };
  });
  const tail = await openModel(cutModel(model, inputs, behind), {
    graphOptimizationLevel: 'disabled',
    label: 'what follows the last rounding',
  });
  try {
    const next = randomNumbers(1);
    const spreads: RoundingSpread[] = [];
    for (const [n, feeds] of cases.entries()) {
      const reference = references[n] ?? new Map<string, Tensor>();
      const wanted = tail.inputs.map(({ name }) => name);
      const own = new Map(wanted.flatMap((name) => tensorsNamed(name, reference, feeds)));
      const expected = await tail.run(own);
      const most = new Map<string, number>(direct);
      for (let draw = 0; draw < draws; draw++) {
        signal?.throwIfAborted();
        for (const [name, got] of await tail.run(moved(own, last, allowed, next))) {
          const want = expected.get(name);
          if (!want || !isCastable(want.dtype) || want.byteLength !== got.byteLength) continue;
          most.set(name, Math.max(most.get(name) ?? 0, farthest(want, got)));
        }
      }
      spreads.push(most);
    }
    return spreads;
  } finally {
    await tail.dispose();
  }
}

function tensorsNamed(name: string, ...from: readonly Feeds[]): [string, Tensor][] {
  for (const feeds of from) {
    const tensor = feeds.get(name);
    if (tensor) return [[name, tensor]];
  }
  return [];
}

/** Every element of the last rounded values so many steps up or down, as chance has it. */
function moved(feeds: Feeds, last: ReadonlyMap<string, number>, steps: number, next: () => number): Feeds {
  const result = new Map(feeds);
  for (const [name, step] of last) {
    const tensor = feeds.get(name);
    if (!tensor) continue;
    const values = Float32Array.from(numbersOf(tensor), (one) => one + (next() < 0.5 ? -step : step) * steps);
    const floats = tensorFrom('float32', tensor.shape, values);
    result.set(name, tensor.dtype === 'float32' ? floats : castTensor(floats, tensor.dtype));
  }
  return result;
}
