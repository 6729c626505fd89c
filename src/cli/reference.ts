import { pathToFileURL } from 'node:url';
import type { Dataset } from '../data/dataset.ts';
import { openSession } from '../engine/session.ts';
import { withStates } from '../engine/states.ts';
import { isDType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import { elementsOf } from '../target/compare.ts';
import { literalPath } from '../target/literal.ts';
import type { Reference } from '../target/target.ts';

/**
 * Samples that the reference is made of. KS between a window of 1000 rows and 512 has 5 % critical distance 0.074; twice as
 * many would only bring it to 0.061.
 */
const sampleCount = 512;
/** Bins of a number, by quantiles: the usual ten of the population stability index. */
const binCount = 10;
/** More features than this would be more series than a Prometheus wants of one model. */
const maxFeatures = 100;

interface RowFeature {
  readonly name: string;
  readonly kind: 'number' | 'class';
  readonly classes?: number;
  readonly values: readonly number[];
}

/** The server's own code (targets/server/files/lib/drift.mjs): both must look at the same. */
interface DriftCode {
  rowFeatures(name: string, dims: readonly number[], data: ArrayLike<unknown>, isOutput: boolean): RowFeature[];
  binOf(edges: readonly number[], value: number): number;
}

interface Gathered {
  readonly side: 'input' | 'output';
  readonly kind: 'number' | 'class';
  readonly classes: number;
  readonly values: number[];
}

/** What inputs and predictions look like on the evaluation data, for a server to compare with. */
export async function makeReference(file: string, dataset: Dataset): Promise<Reference | undefined> {
  const code = (await import(pathToFileURL(literalPath('server', 'lib/drift.mjs')).href)) as DriftCode;
  const session = await openSession(file, { label: 'reference' });
  const gathered = new Map<string, Gathered>();
  const judged: boolean[] = [];
  let rows = 0;
  try {
    const samples = Math.min(sampleCount, dataset.samples);
    const batches = withStates(dataset.batches({ inputs: session.inputs, samples }), session);
    for await (const batch of batches) {
      const outputs = await session.run(batch.feeds);
      const features = [...featuresOf(code, batch.feeds, 'input'), ...featuresOf(code, outputs, 'output')];
      for (const [side, feature] of features) gather(gathered, side, feature, batch.size);
      judged.push(...judge(features, 'labels' in batch ? (batch.labels as readonly number[] | undefined) : undefined));
      rows += batch.size;
    }
  } finally {
    await session.dispose();
  }
  if (rows < 30) return undefined;
  const features = [...gathered].slice(0, maxFeatures).map(([name, one]) => countsOf(code, name, one));
  return { rows, accuracy: judged.length > 0 ? judged.filter(Boolean).length / judged.length : null, features };
}

function featuresOf(
  code: DriftCode,
  tensors: ReadonlyMap<string, Tensor>,
  side: 'input' | 'output',
): [side: 'input' | 'output', feature: RowFeature][] {
  return [...tensors].flatMap(([name, tensor]) => {
    const data =
      isDType(tensor.dtype) && tensor.dtype !== 'string' ? elementsOf(tensor.dtype, tensor.bytes()) : undefined;
    if (data === undefined || tensor.dtype === 'float16' || tensor.dtype === 'bfloat16') return [];
    return code
      .rowFeatures(name, tensor.shape, data, side === 'output')
      .map((feature): [typeof side, RowFeature] => [side, feature]);
  });
}

function gather(gathered: Map<string, Gathered>, side: 'input' | 'output', feature: RowFeature, size: number): void {
  const { name, kind, values, classes = 0 } = feature;
  const known = gathered.get(name) ?? { side, kind, classes, values: [] };
  gathered.set(name, known);
  // Rows beyond `size` fill up a fixed batch.
  known.values.push(...values.slice(0, size));
}

/** Whether each row's class is its label, for the first output that has classes. */
function judge(features: readonly [string, RowFeature][], labels: readonly number[] | undefined): boolean[] {
  const predicted = features.find(([side, { kind }]) => side === 'output' && kind === 'class')?.[1].values;
  if (labels === undefined || predicted === undefined) return [];
  return labels.map((label, row) => label === predicted[row]);
}

function countsOf(
  code: DriftCode,
  name: string,
  { side, kind, classes, values }: Gathered,
): Reference['features'][number] {
  const edges = kind === 'class' ? [] : quantiles(values);
  const counts = Array<number>(kind === 'class' ? classes : edges.length + 1).fill(0);
  for (const value of values) {
    const bin = kind === 'class' ? value : code.binOf(edges, value);
    // Rows of nothing but NaN have no class.
    if (bin >= 0) counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { name, side, kind, ...(kind === 'number' && { edges }), counts };
}

/** Inner borders of bins of equal counts, each once. */
function quantiles(values: readonly number[]): number[] {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const edges = Array.from(
    { length: binCount - 1 },
    (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / binCount)] ?? 0,
  );
  return [...new Set(edges)];
}
