import { isCastable, numbersOf } from '../data/cast.ts';
import { intValue } from '../ir/attr.ts';
import type { Model, Node, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { fetchable, openObserved } from './observe.ts';

type Feeds = ReadonlyMap<string, Tensor>;

/** By how much a score may differ on another machine: atol + rtol · the largest. */
interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

interface Places {
  readonly output: string;
  readonly node: Node;
  readonly scores: string;
  readonly places: string;
}

/** What keeps the elements of a tensor and their order. */
const keepsElements = new Set(['Cast', 'Identity', 'Squeeze', 'Unsqueeze', 'Reshape', 'Flatten']);

/** Outputs that are places of the largest or smallest scores (class ids): of ArgMax, ArgMin and TopK. */
function placesOf(model: Model): Places[] {
  return model.graph.outputs.flatMap((output) => {
    let value: Value | undefined = output;
    while (value?.producer && keepsElements.has(value.producer.op)) value = value.producer.input(0);
    const node = value?.producer;
    const scores = node?.input(0);
    if (!value || !node || !scores) return [];
    const finds = node.is('ArgMax') || node.is('ArgMin') || (node.is('TopK') && node.outputs[1] === value);
    return finds ? [{ output: output.name, node, scores: scores.name, places: value.name }] : [];
  });
}

/**
 * Outputs whose every place has a score so far from all others that no machine gives another place. A share of a class id means nothing: 495 is as wrong for
 * 500 as 3 is. Where two scores lie within twice the tolerance of a score nothing is known: they may change places.
 * @param cases inputs, each one judged for itself
 * @returns names of the outputs, for each case; undefined where the model has none that could be
 * @throws UserError when the runtime cannot evaluate the model without its optimizer.
 */
export async function decidedPlaces(
  model: Model,
  cases: readonly Feeds[],
  tolerance: Tolerance,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>[] | undefined> {
  const all = placesOf(model);
  if (all.length === 0 || cases.length === 0) return undefined;
  const names = [...new Set(all.flatMap(({ scores, places }) => [scores, places]))];
  const session = await openObserved(
    model,
    names.filter((name) => !model.graph.inputs.some((input) => input.name === name)),
  );
  try {
    const known = fetchable(session, names);
    const decided: Set<string>[] = [];
    for (const feeds of cases) {
      signal?.throwIfAborted();
      const got = await session.run(feeds, known);
      const sure = all.filter(({ node, scores, places }) => {
        const [given, found] = [got.get(scores) ?? feeds.get(scores), got.get(places)];
        return given && found && isCastable(given.dtype) && standsAlone(node, given, found, tolerance);
      });
      decided.push(new Set(sure.map(({ output }) => output)));
    }
    return decided;
  } finally {
    await session.dispose();
  }
}

/** Whether along the axis no other score is as good as the one of a place that was found. */
function standsAlone(node: Node, scores: Tensor, places: Tensor, tolerance: Tolerance): boolean {
  const { shape } = scores;
  const given = intValue(node.attr('axis')) ?? (node.is('TopK') ? -1 : 0);
  const axis = given < 0 ? given + shape.length : given;
  const extent = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const [values, found] = [numbersOf(scores), numbersOf(places)];
  const outer = values.length / (extent * inner);
  // ArgMax finds one place along the axis, TopK several.
  const each = found.length / (outer * inner);
  const limit = 2 * (tolerance.atol + tolerance.rtol * scaleOf(values));
  return found.every((place, at) => {
    const start = Math.floor(at / (each * inner)) * extent * inner + (at % inner);
    const own = values[start + place * inner] ?? Number.NaN;
    for (let other = 0; other < extent; other++) {
      const apart = Math.abs((values[start + other * inner] ?? Number.NaN) - own);
      if (other !== place && !(apart > limit)) return false;
    }
    return true;
  });
}

/** From here on a score is taken for a mask (-1e4, -1e9, the least of its type): what it is a share of says nothing about the others. */
const mask = 1e4;

function scaleOf(values: ArrayLike<number>): number {
  let scale = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i] ?? 0);
    if (magnitude < mask && magnitude > scale) scale = magnitude;
  }
  return scale;
}
