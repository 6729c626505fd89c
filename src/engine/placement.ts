import type { Placement } from '../report/evidence.ts';

/** Names of the runtime's execution providers, by ours. */
const ids: Readonly<Record<string, string>> = {
  CPUExecutionProvider: 'cpu',
  WebGpuExecutionProvider: 'webgpu',
  JsExecutionProvider: 'webgpu',
  CUDAExecutionProvider: 'cuda',
  TensorrtExecutionProvider: 'tensorrt',
  CoreMLExecutionProvider: 'coreml',
  DmlExecutionProvider: 'dml',
};

/** What the runtime calls a provider, by the name that we have for it. */
export const placedOn = (executionProvider: string): string => ids[executionProvider] ?? executionProvider;

/** A node of the graph that the runtime made of the file. */
export interface PlacedNode {
  readonly node: string;
  readonly op: string;
  /** The runtime's name of the provider. */
  readonly provider: string;
}

/**
 * Where nodes ran when `asked` was asked for (`web-webgpu` is the runtime's WebGPU in a page). `more`: nodes by provider
 * of which the runtime gives only the number.
 */
export function placementOf(
  asked: string,
  nodes: Iterable<PlacedNode>,
  more: ReadonlyMap<string, number> = new Map(),
): Placement {
  const own = asked
    .replace(/:.*/, '')
    .replace(/^web-/, '')
    .replace(/^wasm$/, 'cpu');
  const counts = new Map<string, number>([...more].map(([provider, count]) => [placedOn(provider), count]));
  const fallbacks: { node: string; op: string; provider: string }[] = [];
  for (const { node, op, provider } of nodes) {
    const id = placedOn(provider);
    counts.set(id, (counts.get(id) ?? 0) + 1);
    if (id !== own) fallbacks.push({ node, op, provider: id });
  }
  return { nodes: Object.fromEntries(counts), fallbacks };
}

/**
 * Reads what the runtime logs of placement when its log is verbose (session_state.cc): either one line for all nodes, or one
 * for each provider with its nodes, `Op (name)`, behind.
 */
export function placementFromLog(asked: string, lines: Iterable<string>): Placement | undefined {
  const nodes: PlacedNode[] = [];
  const whole = new Map<string, number>();
  let provider: string | undefined;
  for (const line of lines) {
    if (!line.includes('VerifyEachNodeIsAssignedToAnEp')) continue;
    const text = line.slice(line.lastIndexOf('VerifyEachNodeIsAssignedToAnEp') + 31).trim();
    const all = /^All nodes placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(text);
    const some = /^Node\(s\) placed on \[(\w+)\]/.exec(text);
    const node = /^(\S+) \((.*)\)$/.exec(text);
    if (all) whole.set(all[1] ?? '', Number(all[2]));
    else if (some) provider = some[1];
    else if (node && provider !== undefined) nodes.push({ op: node[1] ?? '', node: node[2] ?? '', provider });
  }
  return whole.size === 0 && nodes.length === 0 ? undefined : placementOf(asked, nodes, whole);
}
