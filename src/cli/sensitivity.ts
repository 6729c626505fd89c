import { prepare } from '../../passes/presets.ts';
import { type FormatName, formatNames } from '../../passes/quantize/mixed/formats.ts';
import { type FormatLoss, type LayerSensitivity, measureSensitivity } from '../../passes/quantize/mixed/sensitivity.ts';
import { quantizeStatic } from '../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../passes/quantize/quantize-weights.ts';
import { UserError } from '../errors.ts';
import { formatBytes, formatMs, nearest, significant } from '../messages.ts';
import { loadModel } from '../onnx/load.ts';
import { runSteps } from '../pass/pipeline.ts';
import { resolveOptions } from '../pass/resolve-options.ts';
import type { Session } from './command.ts';
import { resolveModel } from './model-source.ts';
import { createContext } from './pass-context.ts';
import { table } from './talk.ts';

export interface SensitivityFlags {
  readonly data?: string;
  readonly formats?: readonly string[];
  readonly samples: number;
  readonly closeSamples: number;
  readonly calibrate?: string;
  readonly cpu?: string;
  readonly provider: string;
  readonly seed: number;
  readonly time: boolean;
  readonly asIs?: boolean;
  readonly top: number;
}

/** The work of `mlpack sensitivity`. */
export async function sensitivityCommand(modelText: string, flags: SensitivityFlags, session: Session): Promise<void> {
  const { talk, io } = session;
  const formats = chooseFormats(flags.formats);
  const { calibrate, cpu } = resolveOptions(quantizeStatic, { calibrate: flags.calibrate, cpu: flags.cpu });
  const { block, method } = resolveOptions(quantizeWeights, {});
  const source = await resolveModel(modelText, session);
  talk.progress('read', source.file);
  const model = await loadModel(source.file);
  const context = await createContext(source, flags, session);
  if (!flags.asIs) await runSteps(model, prepare, { context, onStep: (step) => talk.progress(step.pass.id) });
  const ctx = {
    ...context,
    activations: context.activations ?? context.madeUpActivations,
    progress: (what: string) => talk.progress('sensitivity', what),
    applied: () => undefined,
    skipped: () => undefined,
  };
  const judge = await context.judge(model);
  try {
    const started = performance.now();
    const result = await measureSensitivity(
      model,
      judge,
      {
        formats,
        calibrate,
        cpu,
        block,
        method,
        samples: flags.samples,
        closeSamples: flags.closeSamples,
        timed: flags.time,
      },
      ctx,
    );
    const ms = performance.now() - started;
    talk.done();
    const layers = ranked(result.layers);
    if (session.json) {
      talk.json({ model: source.file, source: judge.source, provider: judge.provider, ...result, layers, ms });
      return;
    }
    if (layers.length === 0)
      talk.out('no layer of the main graph has weights in float that a format here could store.');
    else talk.out(describe(layers.slice(0, flags.top), talk.style));
    if (layers.length > flags.top) talk.out(talk.style.dim(`… and ${layers.length - flags.top} more (--top, --json)`));
    for (const { node, why } of result.unmeasured) talk.out(talk.style.dim(`not measured ${node}: ${why}`));
    const on =
      judge.source === 'data'
        ? `${result.samples} samples${describeMore(layers, result.samples)}`
        : `${result.samples} made-up inputs (no data: expect other ranks on real ones)`;
    talk.out(
      `${layers.length} layers, one at a time quantized and all others in float, on ${on}; ${formatMs(ms)}. The most sensitive first; lower dB, higher KL and more flips are worse.`,
    );
  } finally {
    await judge.dispose();
    io.signal.throwIfAborted();
  }
}

function chooseFormats(asked: readonly string[] | undefined): readonly FormatName[] {
  for (const name of asked ?? []) {
    if (!formatNames.includes(name as FormatName))
      throw new UserError('option.value', `--formats: there is no format "${name}"${nearest(name, formatNames)}.`);
  }
  // What bears blocks of 4 bits bears them with 8: measured where it is asked for.
  return formatNames.filter((name) => asked?.includes(name) ?? name !== 'int8-weights');
}

function describeMore(layers: readonly LayerSensitivity[], samples: number): string {
  const more = layers.flatMap(({ formats: [first] }) => (first && first.samples > samples ? [first.samples] : []));
  return more.length > 0 ? ` (${more.length} that those left too close to rank, on ${more[0]})` : '';
}

/** The loss that a layer is ranked by: that of the first format that it has, in the order of the formats. */
const decisive = ({ formats }: LayerSensitivity): FormatLoss | undefined => formats[0];

function ranked(layers: readonly LayerSensitivity[]): LayerSensitivity[] {
  const noise = (layer: LayerSensitivity): number => decisive(layer)?.noise ?? -1;
  return [...layers].sort((a, b) => noise(b) - noise(a));
}

function describe(layers: readonly LayerSensitivity[], style: Session['talk']['style']): string {
  const shown = formatNames.filter((name) =>
    layers.some(({ formats }) => formats.some(({ format }) => format === name)),
  );
  const more = new Set(layers.flatMap(({ formats: [first] }) => first?.samples ?? [])).size > 1;
  const timed = layers.some(({ timeShare }) => timeShare !== undefined);
  const header = [
    'layer',
    'op',
    'weights',
    ...(timed ? ['time'] : []),
    ...shown.map((name) => `${name} dB`),
    'KL',
    'flips',
    ...(more ? ['samples'] : []),
    ...(timed ? ['speed-up'] : []),
  ];
  const rows = layers.map((layer) => {
    const first = decisive(layer);
    return [
      layer.label,
      layer.op,
      layer.bytes > 0 ? formatBytes(layer.bytes) : '–',
      ...(timed ? [layer.timeShare === undefined ? '–' : `${(100 * layer.timeShare).toFixed(1)} %`] : []),
      ...shown.map((name) => decibels(layer.formats.find(({ format }) => format === name))),
      first?.kl === undefined ? '–' : divergence(first.kl),
      first?.flips === undefined ? '–' : `${(100 * first.flips).toFixed(1)} %`,
      ...(more ? [String(first?.samples ?? '–')] : []),
      ...(timed ? [speedUp(layer, first)] : []),
    ];
  });
  return table([header.map((text) => style.dim(text)), ...rows], header.map((_, at) => at).slice(2));
}

function decibels(loss: FormatLoss | undefined): string {
  if (!loss) return '–';
  return Number.isFinite(loss.sqnrDb) ? loss.sqnrDb.toFixed(1) : loss.noise === 0 ? 'exact' : 'none';
}

/** Of probabilities in float32, whose rounding alone comes to about 1e-7. */
const divergence = (kl: number): string => (kl > 0 && kl < 1e-6 ? '<0.000001' : significant(kl, 2));

const speedUp = (layer: LayerSensitivity, loss: FormatLoss | undefined): string =>
  loss?.ms === undefined || layer.ms === undefined || layer.kind === 'arithmetic'
    ? '–'
    : `×${(layer.ms / loss.ms).toFixed(2)}`;
