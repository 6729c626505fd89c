import type { Model, Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { type Trace, toFixedPoint } from '../../../src/rewrite/driver.ts';
import { channelGather } from '../../fuse/layout/channel-gather.ts';
import { softmaxRows } from '../../fuse/layout/softmax-rows.ts';
import type { CpuProfile } from '../cpu.ts';
import { padChannels } from './pad-channels.ts';
import type { Placement } from './profile.ts';

/** What `fitKernels` does, by the name in the trace. */
export const formRules = {
  [softmaxRows.id]: softmaxRows.summary,
  [channelGather.id]: channelGather.summary,
  'pad-channels':
    'Channels between convolutions were filled up with zeros to a multiple of 16, over which kernels are faster',
} as const;

/** Processors on which that was measured, or whose kernels are the same: of ARM's and WebAssembly's none is. */
const measured: ReadonlySet<CpuProfile> = new Set(['auto', 'vnni', 'avx512', 'avx2']);

/** Gives operators the shapes that the kernels of the CPU provider are fast on; no number changes. A second call changes nothing. */
export function fitKernels(
  model: Model,
  { cpu, place }: { readonly cpu: CpuProfile; readonly place: Placement },
  isChosen: (node: Node) => boolean,
  trace: Trace,
): boolean {
  if (place === 'all' || !measured.has(cpu)) return false;
  const { types } = inferShapes(model, { write: false });
  const { changed } = toFixedPoint(model, [softmaxRows, channelGather], trace, { types });
  const grown = padChannels(model.graph, isChosen);
  for (const node of grown) trace.applied('pad-channels', node);
  return changed || grown.length > 0;
}
