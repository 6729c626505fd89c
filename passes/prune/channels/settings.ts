import { UserError } from '../../../src/errors.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import type { Trace } from '../../../src/rewrite/driver.ts';
import { isKept } from '../../../src/rewrite/keep.ts';
import { type Group, layersOf } from '../coupling/groups.ts';

/** `--layer NAME=RATIO`: the channels that this layer gives out. */
export interface LayerRatio {
  readonly name: string;
  readonly ratio: number;
}

/** @throws UserError where an entry is misspelt */
export function parseRatios(entries: readonly string[]): LayerRatio[] {
  return entries.map((text) => {
    const at = text.lastIndexOf('=');
    const ratio = Number(text.slice(at + 1));
    if (at < 1 || text.slice(at + 1).trim() === '' || !(ratio >= 0 && ratio < 1))
      throw new UserError('prune-layer', `--layer takes NAME=RATIO with a ratio from 0 to below 1, not "${text}".`);
    return { name: text.slice(0, at), ratio };
  });
}

/** The ratio that the last entry naming one of the group's layers asks for. */
export function ratioFor(group: Group, ratios: readonly LayerRatio[]): number | undefined {
  const layers = layersOf(group, 'out');
  return ratios.findLast(({ name }) => layers.some((node) => isKept(node, [name])))?.ratio;
}

export function reportUnknownLayers(
  model: Model,
  ratios: readonly LayerRatio[],
  groups: readonly Group[],
  trace: Trace,
): void {
  for (const { name } of ratios) {
    const named = [...model.graph.nodes].filter((node) => isKept(node, [name]));
    if (named.length === 0) trace.skipped('layer', name, 'no node, operator or node output of the model has this name');
    else if (!groups.some((group) => layersOf(group, 'out').some((node) => named.includes(node))))
      trace.skipped('layer', named[0] as Node, 'it gives out no channels that can go');
  }
}

/** Where the widths before any pruning are kept, so that pruning twice to the same ratio is pruning once. */
const widthsKey = 'mlpack.widths';

export interface Remembered {
  readonly macs: number | undefined;
  /** By the label of a group. */
  readonly widths: ReadonlyMap<string, number>;
}

export function remembered(model: Model): Remembered {
  const text = model.meta.get(widthsKey);
  const parts = (text ?? '').split('\n').map((line) => line.split('\t'));
  const widths = new Map(
    parts.flatMap(([label, width]) => (label && Number(width) > 0 ? [[label, Number(width)]] : [])),
  );
  const macs = widths.get('macs');
  widths.delete('macs');
  return { macs, widths };
}

export function remember(model: Model, macs: number, widths: ReadonlyMap<string, number>): void {
  const lines = [['macs', macs] as const, ...widths].map(([label, width]) => `${label}\t${width}`);
  model.meta.set(widthsKey, lines.join('\n'));
}

/** Names that tell groups apart, before and after pruning: the first layer, and a number where it has several. */
export function labelsOf(groups: readonly Group[]): Map<number, string> {
  const seen = new Map<string, number>();
  return new Map(
    groups.map((group) => {
      const first = layersOf(group, 'out')[0];
      const name = (first?.name || first?.outputs[0]?.name || 'group').replace(/\s/g, ' ');
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      return [group.id, count === 1 ? name : `${name} ${count}`];
    }),
  );
}
