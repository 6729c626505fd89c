import type { Model, Node } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { countMacs } from '../../src/ir/macs.ts';
import type { Artifact } from '../../src/target/target.ts';
import { type Partitioning, partition, type Verdict, verdictOf } from './partition.ts';
import {
  type MobileProvider,
  makeCommand,
  mobileProviders,
  type Precision,
  precisionOf,
  tablesVersion,
} from './providers.ts';

/** A file of the bundle that a provider could be given, and its graph after the runtime's basic optimizations. */
export interface Candidate {
  readonly path: string;
  readonly precision: Precision;
  readonly fixedShapes: boolean;
  readonly graph: Model;
}

interface Analysis extends Partitioning {
  readonly path: string;
  readonly verdict: Verdict;
}

export interface ProviderReport {
  readonly id: MobileProvider['id'];
  readonly name: string;
  readonly platform: MobileProvider['platform'];
  readonly verdict: Verdict;
  /** The file of the bundle that suits it best, worth trying or not. */
  readonly file: string | null;
  /** The file to load with it; null where the verdict is no. */
  readonly use: string | null;
  readonly files: readonly Analysis[];
  readonly precision: {
    readonly given: Precision;
    readonly best: Precision;
    readonly takes: readonly Precision[];
    readonly why: string;
    /** The command that makes the better one; null where the file has it. */
    readonly make: string | null;
  };
  readonly notes: readonly string[];
}

export interface Usability {
  readonly schema: 'mlpack.mobile-usability/1';
  /** Release of ONNX Runtime that the operator tables belong to. */
  readonly tables: string;
  readonly how: string;
  readonly providers: readonly ProviderReport[];
}

const order: readonly Verdict[] = ['no', 'maybe', 'yes'];

/** Which mobile providers are worth trying for this model, with which file. An estimate from operator tables: nothing was run on a device. */
export function usability(artifact: Artifact, candidates: readonly Candidate[]): Usability {
  const counted = candidates.map(
    (one): Counted => ({ ...one, macs: countMacs(one.graph, inferShapes(one.graph)).byNode }),
  );
  return {
    schema: 'mlpack.mobile-usability/1',
    tables: tablesVersion,
    how: 'Estimated from the operator tables of the runtime, after its basic optimizations; nothing was run on a device. yes: one partition with more than 75 % of the nodes; maybe: one with more than 50 %, or two with more than 75 %. On a provider that runs on the CPU itself partitions do not count; there the share of multiply-accumulates decides, with the same thresholds.',
    providers: mobileProviders.map((provider) => report(provider, artifact, counted)),
  };
}

interface Counted extends Candidate {
  readonly macs: ReadonlyMap<Node, number>;
}

function report(provider: MobileProvider, artifact: Artifact, candidates: readonly Counted[]): ProviderReport {
  const files = candidates.map(({ path, graph, macs }): Analysis => {
    const parts = partition(graph.graph, macs, provider);
    return { path, verdict: provider.onCpu ? cpuVerdict(parts) : verdictOf(parts), ...parts };
  });
  const best = bestOf(provider, candidates, files);
  const given = precisionOf(artifact);
  const has = candidates.some(({ precision }) => precision === provider.best);
  return {
    id: provider.id,
    name: provider.name,
    platform: provider.platform,
    verdict: best?.verdict ?? 'no',
    file: best?.path ?? null,
    use: best && best.verdict !== 'no' ? best.path : null,
    files,
    precision: {
      given,
      best: provider.best,
      takes: provider.takes,
      why: provider.why,
      make: has ? null : (makeCommand[provider.best] ?? null),
    },
    notes: provider.notes,
  };
}

/** The best verdict; of equal ones the file in the provider's precision, then the one with more nodes on it, then the first. */
function bestOf(
  provider: MobileProvider,
  candidates: readonly Candidate[],
  files: readonly Analysis[],
): Analysis | undefined {
  const rank = (file: Analysis): number[] => {
    const candidate = candidates.find(({ path }) => path === file.path);
    const fits = candidate && provider.takes.includes(candidate.precision);
    return [
      fits ? 1 : 0,
      order.indexOf(file.verdict),
      candidate?.precision === provider.best ? 1 : 0,
      file.nodes === 0 ? 0 : file.supported / file.nodes,
    ];
  };
  const better = (a: readonly number[], b: readonly number[]): boolean => {
    const at = a.findIndex((value, i) => value !== b[i]);
    return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
  };
  return files.reduce<Analysis | undefined>(
    (best, file) => (best && !better(rank(file), rank(best)) ? best : file),
    undefined,
  );
}

/** No copies at borders, so partitions do not count; activations join the layer before them. The share of the arithmetic decides. */
function cpuVerdict({ arithmetic: share }: Partitioning): Verdict {
  return share > 0.75 ? 'yes' : share > 0.5 ? 'maybe' : 'no';
}
