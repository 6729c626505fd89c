import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Placement } from '../report/evidence.ts';
import type { OpTime } from '../report/timing.ts';
import { adaptFeeds } from './compare.ts';
import { placedOn, placementOf } from './placement.ts';
import { openSession, type SessionOptions } from './session.ts';

/** An event of the runtime's profile, in Chrome's trace format: microseconds. */
export interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface Profile {
  /** Operators by time, the most expensive first. */
  readonly ops: readonly OpTime[];
  readonly placement: Placement;
  readonly events: readonly TraceEvent[];
}

/** Inferences before the profiled ones, and those: kernels choose their way in the first, and medians need a few. */
const warmRuns = 3;
const profiledRuns = 10;
/** A slow model is not run longer than about this. */
const patienceMs = 1500;

/**
 * Runs a file a few times with the runtime's profiler on: what each operator takes, and where nodes ran. The profiler itself
 * costs some microseconds a node, so that shares can be believed and sums are a little high.
 * @throws UserError when the file does not run, or for a provider without a profiler (those in pages).
 */
export async function profile(
  model: string,
  feeds: ReadonlyMap<string, Tensor>,
  options: Pick<SessionOptions, 'provider' | 'extra' | 'label'> & { readonly signal?: AbortSignal },
): Promise<Profile> {
  const { signal, ...sessionOptions } = options;
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-profile-'));
  try {
    const session = await openSession(model, { ...sessionOptions, profileFilePrefix: join(dir, 'p') });
    let runs = 0;
    try {
      const fed = adaptFeeds(feeds, session.inputs);
      const started = performance.now();
      while (runs < warmRuns + profiledRuns && (runs < 2 || performance.now() - started < patienceMs)) {
        signal?.throwIfAborted();
        await session.run(fed);
        runs++;
      }
      session.endProfiling?.();
    } finally {
      await session.dispose();
    }
    const [file] = await readdir(dir);
    if (file === undefined) throw new UserError('profile-missing', 'the runtime wrote no profile for this provider.');
    const events = parseTrace(await readFile(join(dir, file), 'utf8'));
    return readProfile(events, options.provider ?? 'cpu', Math.min(warmRuns, runs - 1));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * The events of a trace as ONNX Runtime writes it: names of nodes stand in it as they are, so that one with a quote or a line break makes it
 * no JSON (1.30).
 * @throws UserError when it cannot be read all the same
 */
export function parseTrace(text: string): TraceEvent[] {
  try {
    return JSON.parse(text) as TraceEvent[];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const escaped = text.replaceAll(
    /"name" :"([^]*?)","args" : \{/g,
    (_, name: string) => `"name" :${JSON.stringify(name)},"args" : {`,
  );
  try {
    return JSON.parse(escaped) as TraceEvent[];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError('profile-unreadable', `the runtime's profile cannot be read: ${error.message}.`, {
      cause: error,
    });
  }
}

/** Operators whose time holds that of the nodes in their bodies. */
const holders: ReadonlySet<unknown> = new Set(['If', 'Loop', 'Scan']);

/** Microseconds of each kernel without those of the nodes in its body, which have events of their own. */
function ownTimes(kernels: readonly TraceEvent[]): Map<TraceEvent, number> {
  const own = new Map(kernels.map((event) => [event, event.dur]));
  const isHolder = ({ args }: TraceEvent): boolean => holders.has(args.op_name);
  const ordered = kernels.toSorted(
    (a, b) => a.tid - b.tid || a.ts - b.ts || b.dur - a.dur || Number(isHolder(b)) - Number(isHolder(a)),
  );
  const open: TraceEvent[] = [];
  for (const event of ordered) {
    const holds = (around: TraceEvent): boolean =>
      around.tid === event.tid && around.ts + around.dur >= event.ts + event.dur;
    while (open.length > 0 && !holds(open.at(-1) as TraceEvent)) open.pop();
    const around = open.at(-1);
    if (around) own.set(around, Math.max(0, (own.get(around) ?? 0) - event.dur));
    if (isHolder(event)) open.push(event);
  }
  return own;
}

/**
 * Top operators and placement from a profile's events. What an If, Loop or Scan takes is what it takes beside the nodes in its body.
 * @param skip inferences at the start that do not count.
 */
export function readProfile(events: readonly TraceEvent[], provider: string, skip: number): Profile {
  const runs = events
    .filter((event) => event.cat === 'Session' && event.name === 'model_run')
    .sort((a, b) => a.ts - b.ts);
  const from = runs[skip]?.ts ?? 0;
  const counted = Math.max(1, runs.length - skip);
  const kernels = events.filter((event) => event.cat === 'Node' && event.name.endsWith('_kernel_time'));
  const totals = new Map<string, { op: string; provider: string; nodes: Set<string>; us: number }>();
  const placed = new Map<string, { node: string; op: string; provider: string }>();
  const own = ownTimes(kernels);
  for (const event of kernels) {
    const { name, ts, args } = event;
    const op = String(args.op_name);
    const on = String(args.provider);
    const node = name.slice(0, -'_kernel_time'.length);
    placed.set(`${String(args.node_index)} ${node}`, { node, op, provider: on });
    if (ts < from) continue;
    const key = `${op} ${on}`;
    const total = totals.get(key) ?? { op, provider: placedOn(on), nodes: new Set(), us: 0 };
    total.nodes.add(`${String(args.node_index)} ${node}`);
    total.us += own.get(event) ?? 0;
    totals.set(key, total);
  }
  const all = [...totals.values()].reduce((sum, { us }) => sum + us, 0);
  const ops = [...totals.values()]
    .map((total) => ({
      op: total.op,
      provider: total.provider,
      nodes: total.nodes.size,
      ms: total.us / 1000 / counted,
      share: all === 0 ? 0 : total.us / all,
    }))
    .sort((a, b) => b.ms - a.ms);
  return { ops, placement: placementOf(provider, placed.values()), events };
}

/** How every merged trace begins. */
export const traceStart = '[\n{"ph":"M","name":"process_name",';

/** Profiles side by side as one trace that Perfetto and chrome://tracing open: a process for each, with its name. */
export function mergeTraces(
  profiles: readonly { readonly name: string; readonly events: readonly TraceEvent[] }[],
): string {
  const lines = profiles.flatMap(({ name, events }, at) => [
    JSON.stringify({ ph: 'M', name: 'process_name', pid: at + 1, tid: 0, args: { name } }),
    ...events.map((event) => JSON.stringify({ ...event, pid: at + 1 })),
  ]);
  return `[\n${lines.join(',\n')}\n]\n`;
}
