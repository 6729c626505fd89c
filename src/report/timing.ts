/**
 * Optional parts of the report that say where timings come from, how far they can be believed, and what an inference spends
 * its time on. Shapes and types in one.
 */
import { boolean, count, number, object, optional, pair, string, type TypeOf } from './schema.ts';

const ms = (description: string) => number(description, { minimum: 0 });
const share = (description: string) => number(description, { minimum: 0, maximum: 1 });

/**
 * faster, slower: the interval excludes 1, and the ratio is further from it than the margin · same: nearer than the margin ·
 * undecided: neither can be said.
 */
export const callShape = string(
  'What the interval and the noise of the machine allow to say: `faster`, `slower`, `same`, or `undecided`.',
  '^(faster|slower|same|undecided)$',
);

export const providerShape = object('Where the figures of a provider come from.', {
  runtime: string('Runtime, version, and where it ran: onnxruntime-web 1.30.0 in Chromium 140.0.'),
  adapter: optional(string('Graphics adapter, where the runtime tells.')),
  software: boolean('A graphics adapter made of software: right results, meaningless times, not ranked.'),
  threads: optional(count('Threads asked for; absent: the runtime’s own choice.')),
});
export type ProviderInfo = TypeOf<typeof providerShape>;

export const noiseShape = object('How far the timings of a provider can be believed.', {
  spread: number('Median absolute deviation / median of single inferences, the worst of the variants.', { minimum: 0 }),
  control: optional(
    object('Two sessions of base against each other: the error of the method on this machine.', {
      ratio: ms('Median of the second / median of the first.'),
      ci: pair('Bootstrap 95 % interval of that ratio.', ms('End of the interval.')),
    }),
  ),
  others: optional(share('Share of the processors’ time that other programs took meanwhile.')),
  drift: ms('Pace of base in the second half / in the first half.'),
  margin: number('Differences below this share are not called.', { minimum: 0 }),
  noisy: boolean('True when small differences are not to be believed.'),
  extended: boolean('The benchmark was prolonged because intervals were too wide.'),
});
export type TimingNoise = TypeOf<typeof noiseShape>;

export const opTimeShape = object('Time that one kind of operator took, from the runtime’s profile.', {
  op: string('Operator in the graph that the runtime made of the file.'),
  provider: string('Where it ran.'),
  nodes: count('Nodes of this kind.'),
  ms: ms('Milliseconds per inference, all its nodes together.'),
  share: share('Share of the time of all operators.'),
});
export type OpTime = TypeOf<typeof opTimeShape>;

export const throughputShape = object('Inferences per second in one setting.', {
  batch: optional(count('Rows in one inference.')),
  sequence: optional(count('Sequence length.')),
  concurrency: count('Processes with a session of their own that run at the same time.'),
  inferencesPerSecond: number('Of all processes together.', { minimum: 0 }),
  p50: ms('Median of one inference.'),
});
export type Throughput = TypeOf<typeof throughputShape>;
