import { type FormatRow, formatOf, formatTable, objectionsTo } from '../capability/format.ts';
import { providerNames } from '../capability/providers.ts';
import type { Session } from './command.ts';
import { table } from './talk.ts';

export interface FormatFacts {
  /** What it is quantized to already, by the name of the variant; null for float32. */
  readonly format: string | null;
  /** Of a quantized model: where its format does not pay. */
  readonly formatObjections: readonly { readonly provider: string; readonly why: string }[];
  /** Of a model in float32 with something to quantize: where each format pays. */
  readonly formats: readonly FormatRow[];
}

/** What the capability table says, before anything is built. */
export function formatFacts(
  ops: Readonly<Record<string, number>>,
  bytes: Readonly<Record<string, number>>,
): FormatFacts {
  const format = formatOf(ops, bytes);
  if (format === undefined) return { format: null, formatObjections: [], formats: formatTable() };
  const providers = providerNames.filter((name) => name !== 'web-webgpu');
  const formatObjections = objectionsTo(format, providers).map(({ provider, why }) => ({ provider, why }));
  return { format, formatObjections, formats: [] };
}

/** What stands against the format a model has; else where each would pay, if there are weights to quantize. */
export function printFormats(
  { format, formatObjections, formats }: FormatFacts,
  hasWeights: boolean,
  talk: Session['talk'],
): void {
  const { style } = talk;
  if (format !== null) {
    talk.out('');
    talk.out(`${style.bold('format')}  ${format}`);
    for (const { provider, why } of formatObjections) talk.out(style.dim(`  not for ${provider}: ${why}`));
  } else if (hasWeights) {
    talk.out('');
    const header = ['format', 'pays on', 'smaller, as fast', 'not on'].map((text) => style.dim(text));
    const names = (list: readonly string[]): string => list.join(', ') || '–';
    const lines = formats.map((row) => [
      row.format,
      names(row.pays),
      names(row.smaller),
      names(row.not.map(({ provider }) => provider)),
    ]);
    talk.out(table([header, ...lines]));
    talk.out(style.dim('--json gives the reasons; docs/quantization.md the table'));
  }
}
