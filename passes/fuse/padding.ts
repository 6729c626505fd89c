import { constantNumbers, constantOf } from '../../src/ir/constant.ts';
import type { Node } from '../../src/ir/graph.ts';
import { floatsOf } from './floats.ts';

/** What a constant-mode Pad adds in front of and behind each spatial axis. */
export interface SpatialPadding {
  readonly begin: readonly number[];
  readonly end: readonly number[];
  readonly value: number;
}

/**
 * Reads a Pad in front of an operator with `spatial` spatial axes (rank spatial + 2): by attributes up to opset 10, by
 * inputs from 11, with axes from 18.
 * @returns a sentence where it is no plain padding of spatial axes.
 */
export function spatialPadding(pad: Node, opset: number, spatial: number): SpatialPadding | string {
  const mode = pad.string('mode') ?? 'constant';
  if (mode !== 'constant') return `${pad} pads by mode "${mode}", not with a constant`;
  const rank = spatial + 2;
  const amounts = opset >= 11 ? constantNumbers(pad.input(1)) : pad.ints('pads');
  if (!amounts) return `the amounts of ${pad} are not constant`;
  const value = opset >= 11 ? padValue(pad) : pad.float('value', 0);
  if (value === undefined) return `the value that ${pad} pads with is not constant`;
  const axes = pad.input(3) ? constantNumbers(pad.input(3)) : Array.from({ length: rank }, (_, axis) => axis);
  if (!axes) return `the axes of ${pad} are not constant`;
  if (amounts.length !== axes.length * 2) return `${pad} pads ${amounts.length / 2} axes, not ${axes.length}`;
  const begin = Array.from({ length: rank }, () => 0);
  const end = Array.from({ length: rank }, () => 0);
  for (const [i, given] of axes.entries()) {
    const axis = given < 0 ? given + rank : given;
    if (axis < 0 || axis >= rank) return `${pad} pads axis ${given}, which a value of rank ${rank} does not have`;
    begin[axis] = amounts[i] as number;
    end[axis] = amounts[i + axes.length] as number;
  }
  if ([...begin, ...end].some((amount) => amount < 0)) return `${pad} crops (negative amounts)`;
  if ([begin[0], begin[1], end[0], end[1]].some((amount) => amount !== 0)) return `${pad} pads batch or channels too`;
  return { begin: begin.slice(2), end: end.slice(2), value };
}

function padValue(pad: Node): number | undefined {
  const input = pad.input(2);
  if (!input) return 0;
  const tensor = constantOf(input);
  return tensor && (floatsOf(tensor)?.[0] ?? constantNumbers(input)?.[0]);
}

/** The `pads` attribute of `node` (begins, then ends) with the padding before it added; a sentence where they do not add up. */
export function mergedPads(node: Node, padding: SpatialPadding): number[] | string {
  const auto = node.string('auto_pad') ?? 'NOTSET';
  if (auto !== 'NOTSET' && auto !== 'VALID') return `${node} pads by itself (auto_pad ${auto})`;
  const added = [...padding.begin, ...padding.end];
  const own = auto === 'VALID' ? [] : (node.ints('pads') ?? []);
  return added.map((amount, i) => amount + (own[i] ?? 0));
}
