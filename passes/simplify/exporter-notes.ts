import { type Graph, graphsBelow, type Model } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';

/** Keys that PyTorch's exporters write for debugging: stack traces with lines and paths of the author's files, nodes of the FX graph, class names. */
const prefixes = ['pkg.torch.', 'pkg.onnxscript.'];
/** A key of theirs without a prefix, beside which one with a prefix stands. */
const bare = 'namespace';

interface Noted {
  meta: Map<string, string> | undefined;
}

/**
 * Takes away what exporters noted about the program that a model came from. Nothing computes with it, it is up to nine tenths of a small file
 * (8.9 MB of stack traces in 152 exports of ours), and it tells whoever gets the model how the source code reads.
 */
export function dropExporterNotes(model: Model, trace: Trace): boolean {
  let count = 0;
  for (const noted of notedIn(model)) {
    const kept = [...(noted.meta ?? [])].filter(([key]) => !isNote(key, noted));
    if (kept.length === (noted.meta?.size ?? 0)) continue;
    // A map may be shared with another node: a new one, never a change in place.
    noted.meta = kept.length > 0 ? new Map(kept) : undefined;
    count++;
  }
  if (count > 0) trace.applied('exporter-notes', `${count} nodes and values`);
  return count > 0;
}

function isNote(key: string, { meta }: Noted): boolean {
  if (prefixes.some((prefix) => key.startsWith(prefix))) return true;
  return key === bare && [...(meta ?? [])].some(([other]) => prefixes.some((prefix) => other.startsWith(prefix)));
}

function* notedIn(model: Model): Generator<Noted> {
  for (const root of [model.graph, ...model.functions.map((fn) => fn.body)]) {
    for (const graph of graphsBelow(root)) yield* notedBelow(graph);
  }
}

function* notedBelow(graph: Graph): Generator<Noted> {
  yield graph;
  yield* graph.inputs;
  yield* graph.initializers;
  for (const node of graph.nodes) {
    yield node;
    for (const value of node.outputs) if (value) yield value;
  }
}
