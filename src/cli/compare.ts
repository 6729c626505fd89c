import { compare, type Difference } from '../engine/compare.ts';
import type { LayerSaturation } from '../engine/saturation.ts';
import { openSession } from '../engine/session.ts';
import { significant } from '../messages.ts';
import { loadModel } from '../onnx/load.ts';
import type { Session } from './command.ts';
import { openData } from './data.ts';
import { feedBatches } from './feeds.ts';
import { resolveModel } from './model-source.ts';
import { table } from './talk.ts';

interface CompareFlags {
  readonly data?: string;
  readonly samples: number;
  readonly seed: number;
  readonly layers?: boolean;
  readonly saturation?: boolean;
  readonly minSqnr?: number;
  readonly inputShape?: readonly string[];
}

/** The work of `mlpack compare`. @returns 1 when an output is worse than `--min-sqnr`. */
export async function compareCommand(
  aText: string,
  bText: string,
  flags: CompareFlags,
  session: Session,
): Promise<number> {
  const { talk } = session;
  const a = await resolveModel(aText, session);
  const b = await resolveModel(bText, session);
  const model = await loadModel(a.file);
  const base = await openSession(a.file, { label: aText });
  session.atEnd.push(() => base.dispose());
  const candidate = await openSession(b.file, { label: bText });
  try {
    const dataset = await openData(a, flags.data, session, base.inputs);
    if (dataset && flags.inputShape?.length)
      talk.warn(`--input-shape is not used: inputs are the samples of ${dataset.name}, which have their own shapes.`);
    const feedOptions = {
      dataset,
      model,
      runtime: base,
      seed: flags.seed,
      shapes: flags.inputShape ?? [],
      samples: flags.samples,
    };
    talk.progress('compare');
    const result = await compare(base, candidate, feedBatches(feedOptions), session.io.signal);
    const layers = flags.layers ? await compareLayers(a.file, b.file, feedOptions, session) : undefined;
    const saturation = flags.saturation ? await saturationIn(b.file, feedOptions, session) : undefined;
    const worst = Math.min(...result.outputs.map((output) => output.sqnrDb));
    const ok = flags.minSqnr === undefined || worst >= flags.minSqnr;
    const source = dataset
      ? `${result.samples} ${result.samples === 1 ? 'sample' : 'samples'} of ${dataset.name}`
      : `${result.samples} made-up inputs (seed ${flags.seed})`;
    if (session.json)
      talk.json({
        ok,
        a: a.file,
        b: b.file,
        inputs: source,
        ...result,
        ...(layers && { layers }),
        ...(saturation && { saturation }),
      });
    else {
      talk.out(differences(result.outputs, 'output'));
      const positions = result.outputs.some(({ positionAgreement }) => positionAgreement !== undefined);
      const of = positions ? '; same top: of positions, where a sample has several' : '';
      talk.out(talk.style.dim(`${source}; SQNR = 20·log10(|a| / |a − b|)${of}`));
      if (layers) {
        talk.out(`\n${differences(layers.layers, 'layer')}`);
        talk.out(layers.sentence);
      }
      if (saturation) talk.out(`\n${saturationTable(saturation)}`);
      if (!ok) talk.out(`${talk.style.red('below')} the ${flags.minSqnr} dB asked for: ${decibels(worst)}`);
    }
    return ok ? 0 : 1;
  } finally {
    await candidate.dispose();
  }
}

async function compareLayers(
  a: string,
  b: string,
  feedOptions: Parameters<typeof feedBatches>[0],
  session: Session,
): Promise<{
  readonly layers: readonly Difference[];
  readonly firstBad: string | undefined;
  readonly sentence: string;
}> {
  const { compareLayers: run } = await import('../engine/compare-layers.ts');
  session.talk.progress('compare layers');
  // A few samples tell the layer; all of them would cost a run of the model for each group of layers.
  const batches = () => feedBatches({ ...feedOptions, samples: Math.min(feedOptions.samples, 8) });
  const result = await run(await loadModel(a), await loadModel(b), batches, { signal: session.io.signal });
  const { layers, firstBad } = result;
  const sentence = firstBad
    ? `first bad layer: "${firstBad.name}", made by ${firstBad.node}, ${decibels(firstBad.sqnrDb)}`
    : layers.length === 0
      ? 'the models share no named value inside, so no layer can be compared'
      : 'no layer stands out';
  return { layers, firstBad: firstBad?.name, sentence };
}

async function saturationIn(
  file: string,
  feedOptions: Parameters<typeof feedBatches>[0],
  session: Session,
): Promise<LayerSaturation[]> {
  const { saturationOf } = await import('../engine/saturation.ts');
  session.talk.progress('saturation');
  const batches = () => feedBatches({ ...feedOptions, samples: Math.min(feedOptions.samples, 8) });
  return await saturationOf(await loadModel(file), batches, { seed: feedOptions.seed, signal: session.io.signal });
}

/** Layers that lose something, worst first. */
function saturationTable(layers: readonly LayerSaturation[]): string {
  const hit = layers.filter(({ share }) => share > 0).sort((a, b) => a.sqnrDb - b.sqnrDb);
  if (layers.length === 0) return 'no product of 8-bit activations and constant int8 weights: nothing can saturate';
  if (hit.length === 0)
    return `no pair of products in ${layers.length} layers saturates: the same on processors with and without VNNI`;
  const rows = hit.map((one) => [one.node, one.op, `${(100 * one.share).toPrecision(2)} %`, decibels(one.sqnrDb)]);
  return [
    table([['layer', 'type', 'pairs saturated', 'SQNR'], ...rows], [2, 3]),
    `without VNNI (AVX2, AVX-512), products saturate in ${hit.length} of ${layers.length} layers: quantize with --cpu auto, or for the processor`,
  ].join('\n');
}

function decibels(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return 'identical';
  return Number.isFinite(value) ? `${value.toFixed(1)} dB` : 'not comparable';
}

function differences(list: readonly Difference[], what: string): string {
  const header = [what, 'type', 'SQNR', 'cosine', 'max |a−b|', 'max rel', 'same top', 'note'];
  const rows = list.map((one) => [
    one.name,
    one.dtype,
    decibels(one.sqnrDb),
    one.cosine.toFixed(6),
    significant(one.maxAbs, 3),
    significant(one.maxRel, 3),
    sameTop(one),
    noteOf(one),
  ]);
  return table([header, ...rows], [2, 3, 4, 5, 6]);
}

function sameTop({ agreement, positionAgreement }: Difference): string {
  const share = positionAgreement ?? agreement;
  return share === undefined ? '–' : `${(100 * share).toFixed(1)} %`;
}

function noteOf(one: Difference): string {
  if (one.elements === 0 && !one.shapes) return 'empty on all inputs: nothing was compared';
  if (one.shapes) return `shapes differ: [${one.shapes.base}] and [${one.shapes.candidate}]`;
  if (one.nonFinite.candidate > one.nonFinite.base) return `${one.nonFinite.candidate} NaN or infinite values`;
  if (one.steps && one.steps.max > 0)
    return `${(100 * one.steps.share).toFixed(2)} % differ, by at most ${one.steps.max} steps`;
  return '';
}
