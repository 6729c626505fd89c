import { ints, tensor as tensorAttr } from '../ir/attr.ts';
import type { Graph, Node, Value } from '../ir/graph.ts';
import { type Tensor, tensorFromBytes } from '../ir/tensor.ts';
import { type Shape, tensorType } from '../ir/types.ts';

/** Why a value of a subgraph cannot be handed out; undefined when it can, or stands in the main graph. */
export function exposureProblem(value: Value): string | undefined {
  let insideIf = false;
  for (let graph = value.graph; graph.ownerNode; graph = graph.ownerNode.graph) {
    const owner = graph.ownerNode;
    if (owner.is('If')) insideIf = true;
    else if (!owner.is('Loop') && !owner.is('Scan')) return `it stands in a body of ${owner}`;
    else if (insideIf)
      return `it stands in a branch inside a body of ${owner}, whose turns would give outputs of different shapes`;
  }
  const root = value.graph.root;
  if (root.model && root.model.graph !== root) return 'it stands in a function of the model';
  return undefined;
}

/**
 * Makes a value of the main graph or of a subgraph an output of the main graph, by handing it on through every node around it: as one
 * more output of both branches of an If (the other branch gives no elements), as one more scan output of a Loop or Scan (one entry a turn).
 * The value must have no `exposureProblem`.
 */
export function expose(value: Value, name: string): void {
  let { graph } = value;
  let current = value;
  if (graph.ownerNode === undefined) {
    if (!value.isGraphOutput) graph.addOutput(value);
    return;
  }
  for (let owner: Node | undefined = graph.ownerNode; owner; owner = graph.ownerNode) {
    // A copy: the value may be an output already, and an output may not be handed out twice.
    handOut(graph, current);
    if (owner.is('If'))
      for (const other of owner.subgraphs) if (other !== graph) handOut(other, noElements(other, value));
    if (owner.is('Scan')) likeOthers(owner);
    const next = owner.addOutput(graph.freshName(name), undefined);
    current = next;
    graph = owner.graph;
  }
  // Under the value's own name, which nothing in the main graph has.
  value.name = graph.freshName(`${name}_inner`);
  current.name = name;
  graph.addOutput(current);
}

/** Attributes of a Scan that have an entry for each scan output, where they stand there: the new one is stacked in order along the first axis. */
function likeOthers(scan: Node): void {
  for (const name of ['scan_output_axes', 'scan_output_directions']) {
    const entries = scan.ints(name);
    if (entries) scan.setAttr(name, ints([...entries, 0]));
  }
}

function handOut(graph: Graph, value: Value): void {
  const copy = graph.append('Identity', { inputs: [value], outputs: [''], types: [value.type] });
  graph.addOutput(copy.output());
}

function noElements(graph: Graph, { type }: Value): Value {
  const dtype = type?.kind === 'tensor' ? type.dtype : 'float32';
  const rank = type?.kind === 'tensor' ? (type.shape?.length ?? 1) : 1;
  const shape: Shape = Array.from({ length: Math.max(1, rank) }, () => 0);
  const empty: Tensor = tensorFromBytes(dtype, shape as number[], new Uint8Array(0));
  const node = graph.append('Constant', {
    inputs: [],
    outputs: [''],
    attrs: { value: tensorAttr(empty) },
    types: [tensorType(dtype, shape)],
  });
  return node.output();
}
