import { UserError } from '../../src/errors.ts';

/** What fitting the layers behind one input to data takes, estimated from their extents before anything is allocated. */
export interface FitCost {
  /** Inputs of a dot product. */
  readonly k: number;
  readonly seconds: number;
  readonly bytes: number;
}

/**
 * Budgets of a run that did not ask for GPTQ by name. Estimates, not clocks, are held against them, so that the same file comes out
 * on every machine.
 */
const budget = { layerSeconds: 15, runSeconds: 30, bytes: 1.2e9 };

/** Peak for each k²: the sums, two factors in float64, and the copies that the products of the factorization take (k = 8192: 2.5 GB). */
const gptqBytes = 40;
/** The same for the sums, one product of them and what other methods look at. */
const sumsBytes = 12;

/**
 * Seconds of processor time (2 cores of an AMD EPYC with AVX-512; k = 1024, 2048, 4096 with 512 outputs): a factorization 0.3, 0.7, 3.4 s,
 * for each k³; sums over 2048 rows 0.1, 0.2, 0.8 s, for each k²·row.
 */
const perCube = 6e-11;
const perRow = 2.4e-11;

interface Work {
  readonly k: number;
  /** Outputs of all layers behind the input. */
  readonly outputs: number;
  /** Rows of data that are summed up. */
  readonly rows: number;
  /** GPTQ tries several dampings where rows are few. */
  readonly factorizations: number;
  /** Seconds for each k²·output. */
  readonly perWeight: number;
}

export function gptqCost({ k, outputs, rows, factorizations, perWeight }: Work): FitCost {
  const seconds = k * k * (factorizations * perCube * k + perRow * rows + perWeight * outputs);
  return { k, seconds, bytes: gptqBytes * k * k };
}

/** Positions along an axis of unknown extent. */
const usualExtent = 128;

/** @param shape of an input [samples, …, k]; undefined where unknown */
export function rowsOf(samples: number, shape: readonly unknown[] | undefined): number {
  let rows = samples;
  for (const dim of shape?.slice(1, -1) ?? [usualExtent]) rows *= typeof dim === 'number' ? dim : usualExtent;
  return rows;
}

/** Which of the fits are left out, and why: the cheapest are taken first, as far as the budget of the run goes. */
export function beyondBudget<T>(costs: ReadonlyMap<T, FitCost>, ask: string): Map<T, string> {
  const left = new Map<T, string>();
  let spent = 0;
  for (const [key, cost] of [...costs].sort(([, a], [, b]) => a.seconds - b.seconds)) {
    const { k, seconds, bytes } = cost;
    const tooMuch = seconds > budget.layerSeconds || bytes > budget.bytes;
    if (!tooMuch && spent + seconds <= budget.runSeconds) {
      spent += seconds;
      continue;
    }
    const figures = `fitting its ${k} inputs with gptq would take about ${Math.ceil(seconds)} s and ${gigabytes(bytes)}`;
    const why = tooMuch ? figures : `${figures}, more than ${budget.runSeconds} s for the whole model`;
    left.set(key, `${why}; ${ask} asks for it`);
  }
  return left;
}

/** Bytes that a method takes which was asked for by name. */
export const bytesToFit = (method: string, k: number): number => (method === 'gptq' ? gptqBytes : sumsBytes) * k * k;

/**
 * @param free undefined where the machine does not tell
 * @throws UserError when the memory there is does not hold it.
 */
export function checkMemory(method: string, layer: string, k: number, free: number | undefined, instead: string): void {
  const bytes = bytesToFit(method, k);
  if (free === undefined || bytes <= free) return;
  throw new UserError(
    'option.memory',
    `${layer} has ${k} inputs: fitting them with ${method} takes about ${gigabytes(bytes)} of memory, and ${gigabytes(free)} are free. ${instead}`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
