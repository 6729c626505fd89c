import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { type Trace, toFixedPoint } from '../../../src/rewrite/driver.ts';
import { channelGather } from '../../fuse/layout/channel-gather.ts';
import { gainsOnIntegers, padChannels, padSummary } from '../../fuse/layout/pad-channels.ts';
import { siblingConvs } from '../../fuse/layout/sibling-convs.ts';
import { softmaxRows } from '../../fuse/layout/softmax-rows.ts';
import type { CpuProfile } from '../cpu.ts';
import { channelsThatPay } from './cost.ts';
import type { ActivationType } from './given.ts';
import type { Plan } from './plan.ts';
import type { Placement } from './profile.ts';

/** What `fitKernels` does, by the name in the trace. */
export const formRules = {
  [softmaxRows.id]: softmaxRows.summary,
  [channelGather.id]: channelGather.summary,
  ...Object.fromEntries(siblingConvs().map(({ id, summary }) => [id, summary])),
  'fill-inputs':
    'The input of a convolution on integers was filled up with channels of zeros to a multiple of 4, which its quick kernel takes at a time',
  'pad-channels': padSummary,
} as const;

/** Processors on which that was measured, or whose kernels are the same: of ARM's and WebAssembly's none is. */
const measured: ReadonlySet<CpuProfile> = new Set(['auto', 'vnni', 'avx512', 'avx2']);

interface Target {
  readonly cpu: CpuProfile;
  readonly place: Placement;
}

const isMeasured = ({ cpu, place }: Target): boolean => place !== 'all' && measured.has(cpu);

/** Gives operators the shapes that the kernels of the CPU provider are fast on; no number changes. A second call changes nothing. */
export function fitKernels(model: Model, target: Target, isChosen: (node: Node) => boolean, trace: Trace): boolean {
  if (!isMeasured(target)) return false;
  const { types } = inferShapes(model, { write: false });
  const { changed } = toFixedPoint(model, [softmaxRows, channelGather, ...siblingConvs(isChosen)], trace, { types });
  // A Split stands where the first of what it joins stood, readers of the others may stand before.
  if (changed) sortTopologically(model.graph);
  const grown = padChannels(model.graph, inferShapes(model, { write: false }).types, gainsOnIntegers, isChosen);
  for (const node of grown) trace.applied('pad-channels', node);
  return changed || grown.length > 0;
}

/**
 * Convolutions whose inputs are to be filled up, and to how many channels, of those that run on integers.
 * @param elements of a value in one inference
 */
export function inputsToFill(
  plan: Plan,
  { cpu, place, type }: Target & { readonly type: ActivationType },
  elements: (value: Value) => number,
): Map<Node, number> {
  const wide = new Map<Node, number>();
  if (!isMeasured({ cpu, place }) || cpu === 'wasm' || type !== 'uint8') return wide;
  for (const unit of plan.units.values()) {
    const channels = channelsThatPay(unit, cpu, elements);
    if (channels !== undefined) wide.set(unit.node, channels);
  }
  return wide;
}
