import { speedOf } from '../../../src/capability/speed.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import type { CpuProfile } from '../cpu.ts';
import { applyFormat, type FormatName, type FormatOptions, formatNames, kernelOf } from './formats.ts';
import type { Choice, SearchItem } from './search.ts';
import type { FormatLoss, LayerSensitivity } from './sensitivity.ts';

/** float32: what a layer is left in. */
export const float = 'fp32';

/** What counts as cost: the file, the time, or both in shares of the float model's (the first order of their product). */
type CostKind = 'size' | 'latency' | 'both';

export interface CostOptions {
  readonly cost: CostKind;
  /** Where time comes from: multiply-accumulates and known speeds, the same on every run, or the clock. */
  readonly costFrom: 'table' | 'clock';
  readonly provider: string;
  readonly cpu: CpuProfile;
}

/** What each layer could be in. Layers without any other format are left out. */
export function itemsOf(layers: readonly LayerSensitivity[], options: CostOptions): SearchItem[] {
  const bytes = layers.reduce((sum, layer) => sum + layer.bytes, 0) || 1;
  const timeOf = options.costFrom === 'clock' ? clockTime : tableTime(options);
  const time = layers.reduce((sum, layer) => sum + timeOf(layer), 0) || 1;
  const cost = (ownTime: number, ownBytes: number): number =>
    (options.cost === 'size' ? 0 : ownTime / time) + (options.cost === 'latency' ? 0 : ownBytes / bytes);
  return layers.flatMap((layer): SearchItem[] => {
    if (layer.formats.length === 0) return [];
    const choices: Choice[] = layer.formats.map((one) => ({
      format: one.format,
      cost: cost(timeOf(layer, one), one.bytes),
      noise: Number.isFinite(one.noise) ? one.noise : unbearable,
    }));
    return [
      {
        id: layer.id,
        label: layer.label,
        choices: [...choices, { format: float, cost: cost(timeOf(layer), layer.bytes), noise: 0 }],
      },
    ];
  });
}

/** Multiply-accumulates in float32 that take as long as converting one element between float and integers: set by judgement, not measured. */
const macsOfConversion = 30;

/**
 * Time in units of float32 multiply-accumulates. A layer in float among integers has what it reads and gives out converted.
 * Arithmetic without weights costs one unit for each element, a quarter on integers (by judgement: a quarter of the bytes; not measured).
 */
const tableTime =
  ({ provider, cpu }: CostOptions) =>
  ({ op, kind, macs, elements, formats }: LayerSensitivity, one?: FormatLoss): number => {
    const own = kind === 'arithmetic' ? elements : macs;
    if (one)
      return kind === 'arithmetic'
        ? own / 4
        : own / speedOf(cpu === 'wasm' ? 'web-wasm' : provider, op, kernelOf(one.format, cpu));
    return own + (formats.some(({ format }) => format === 'int8') ? macsOfConversion * elements : 0);
  };

function clockTime({ ms, formats }: LayerSensitivity, one?: FormatLoss): number {
  if (one) return one.ms ?? 0;
  return (ms ?? 0) + (formats.find(({ format }) => format === 'int8')?.borderMs ?? 0);
}

/** Outputs that are no numbers any more. */
const unbearable = 1e12;

/** Brings a model into a mix of formats, in place. @param keep what the user wants left alone, whatever the mix says */
export async function applyAssignment(
  model: Model,
  assignment: ReadonlyMap<string, string>,
  keep: readonly string[],
  options: FormatOptions,
  ctx: PassContext,
): Promise<boolean> {
  let changed = false;
  for (const format of formatNames) {
    if (![...assignment.values()].includes(format)) continue;
    const others = [...assignment].filter(([, own]) => own !== format).map(([id]) => id);
    const result = await applyFormat(model, format, [...keep, ...others], options, ctx);
    changed ||= result.changed;
  }
  return changed;
}

/** How many layers are in each format: `21 int8, 3 fp32`. */
export function countFormats(assignment: ReadonlyMap<string, string>): string {
  const counts = new Map<string, number>();
  for (const format of assignment.values()) counts.set(format, (counts.get(format) ?? 0) + 1);
  const order: readonly string[] = [...formatNames, float];
  return order.flatMap((format) => (counts.has(format) ? [`${counts.get(format)} ${format}`] : [])).join(', ');
}

/** Formats worth a search where the user names none. */
export function usualFormats(
  layers: readonly { readonly op: string; readonly bytes: number }[],
  calibrated: boolean,
): FormatName[] {
  const linear = layers.filter(({ op }) => op === 'MatMul' || op === 'Gemm').reduce((sum, { bytes }) => sum + bytes, 0);
  const all = layers.reduce((sum, { bytes }) => sum + bytes, 0);
  // 4-bit weights exist for matrix products only; in a network of convolutions they are not worth their trials.
  const four = linear * 2 > all;
  return formatNames.filter((format) =>
    format === 'int8' ? calibrated : format === 'int8-dynamic' || (format === 'int4' && four),
  );
}
