import { type Numbers, numbersOf, tensorOfNumbers } from '../data/cast.ts';
import type { Metric, MetricBatch } from '../data/metrics/metric.ts';
import { elementCount, type Tensor } from '../ir/tensor.ts';

/** What answers reach that know nothing of the inputs. */
export interface Blind {
  readonly value: number;
  /** The answer that reaches it, as the end of "no better than …". */
  readonly answer: string;
}

/** Targets kept to try constant answers on, numbers: 32 MB. Of larger ones (pictures by the hundred) nothing is said. */
const mostKept = 2 ** 22;
/** With fewer samples a constant fits them by chance. */
const leastSamples = 20;
/** Classes tried as the constant answer: the most frequent ones, of which one is nearly always the best. */
const triedClasses = 5;

/** Collects what is needed, batch by batch, to say what the best constant answer would have scored. */
export class BlindAnswers {
  readonly #metric: Metric;
  readonly #targets: { readonly tensor: Tensor; readonly size: number }[] = [];
  #kept = 0;
  #classes: number | undefined;

  constructor(metric: Metric) {
    this.#metric = metric;
  }

  add({ output, targets, size }: MetricBatch): void {
    this.#classes = output.shape.at(-1);
    if (!targets || !['mean', 'median', 'mode'].includes(String(this.#metric.blind))) return;
    this.#kept += elementCount(targets.shape);
    if (this.#kept <= mostKept) this.#targets.push({ tensor: targets, size });
    else this.#targets.length = 0;
  }

  /** @param labels class of each sample; empty where there are none */
  result(labels: readonly number[]): Blind | undefined {
    const { blind } = this.#metric;
    if (typeof blind === 'number') return { value: blind, answer: `scores that know nothing of the inputs (${blind})` };
    if (blind === 'class') return labels.length < leastSamples ? undefined : this.#best(this.#byClass(labels));
    if (blind === 'uniform') return this.#uniform();
    if (blind === undefined || this.#kept > mostKept) return undefined;
    return blind === 'mode' ? this.#best(this.#byTarget()) : this.#crossFitted(blind);
  }

  /** All classes alike: 1 of so many is right, and the perplexity is their number. */
  #uniform(): Blind | undefined {
    const classes = this.#classes;
    if (classes === undefined || classes < 2) return undefined;
    const value = this.#metric.higherIsBetter ? 1 / classes : classes;
    return { value, answer: `giving each of the ${classes} tokens the same chance (${figure(value)})` };
  }

  #best(all: readonly Blind[]): Blind | undefined {
    const sign = this.#metric.higherIsBetter ? 1 : -1;
    return all.reduce<Blind | undefined>(
      (best, one) => (Number.isNaN(one.value) || (best && sign * best.value >= sign * one.value) ? best : one),
      undefined,
    );
  }

  /** Whole numbers as output are classes to every metric of labels. */
  #byClass(labels: readonly number[]): Blind[] {
    return frequent(labels).map((label) => {
      const output = constant('int64', [labels.length], () => label);
      const records = this.#metric.score({
        output,
        size: labels.length,
        labels,
        targets: undefined,
        reference: undefined,
      });
      const value = this.#metric.fold(records)();
      return { value, answer: `always answering class ${label} (${figure(value)})` };
    });
  }

  #byTarget(): Blind[] {
    return frequent(...this.#targets.map(({ tensor }) => numbersOf(tensor))).map((target) => {
      const records = this.#targets.flatMap(({ tensor, size }) =>
        this.#metric.score(
          batchOf(
            constant('int64', tensor.shape, () => target),
            tensor,
            size,
          ),
        ),
      );
      const value = this.#metric.fold(records)();
      return { value, answer: `always answering ${target} (${figure(value)})` };
    });
  }

  /**
   * The mean (median) of each position over every second sample answers for the others, and the other way around: over all samples the constant would
   * have seen what it is judged on.
   */
  #crossFitted(kind: 'mean' | 'median'): Blind | undefined {
    const rows: Numbers[] = [];
    for (const { tensor, size } of this.#targets) {
      const values = numbersOf(tensor);
      const width = values.length / Math.max(tensor.shape[0] ?? 1, 1);
      for (let row = 0; row < size; row++) rows.push(values.subarray(row * width, (row + 1) * width));
    }
    const width = rows[0]?.length ?? 0;
    if (rows.length < leastSamples || rows.some((row) => row.length !== width)) return undefined;
    const answers = [1, 0].map((part) =>
      middle(
        rows.filter((_, at) => at % 2 === part),
        width,
        kind,
      ),
    );
    let at = 0;
    const records = this.#targets.flatMap(({ tensor, size }) => {
      const first = at;
      at += size;
      const output = constant(
        'float32',
        tensor.shape,
        (place) => answers[(first + Math.floor(place / width)) % 2]?.[place % width] ?? 0,
      );
      return this.#metric.score(batchOf(output, tensor, size));
    });
    const value = this.#metric.fold(records)();
    return { value, answer: `always answering the ${kind} of the targets (${figure(value)})` };
  }
}

const figure = (value: number): string => String(Number(value.toPrecision(4)));

const batchOf = (output: Tensor, targets: Tensor, size: number): MetricBatch => ({
  ...{ output, targets, size },
  labels: undefined,
  reference: undefined,
});

function constant(dtype: 'int64' | 'float32', shape: readonly number[], valueAt: (at: number) => number): Tensor {
  return tensorOfNumbers(
    dtype,
    shape,
    Float64Array.from({ length: elementCount(shape) }, (_, at) => valueAt(at)),
  );
}

/** The most frequent numbers, the first of them first. */
function frequent(...lists: readonly ArrayLike<number>[]): number[] {
  const counts = new Map<number, number>();
  for (const list of lists)
    for (let at = 0; at < list.length; at++) {
      const one = list[at] as number;
      counts.set(one, (counts.get(one) ?? 0) + 1);
    }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, triedClasses)
    .map(([one]) => one);
}

function middle(rows: readonly Numbers[], width: number, kind: 'mean' | 'median'): Float64Array {
  return Float64Array.from({ length: width }, (_, at) => {
    const column = rows.map((row) => row[at] as number);
    if (kind === 'mean') return column.reduce((sum, value) => sum + value, 0) / column.length;
    return column.sort((a, b) => a - b)[Math.floor(column.length / 2)] ?? 0;
  });
}
