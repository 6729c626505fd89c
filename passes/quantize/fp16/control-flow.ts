import type { Graph, Node, Value } from '../../../src/ir/graph.ts';

/**
 * Values of a control-flow node that must have one type: what flows in (`from`: node inputs and results of bodies) and
 * what comes out (`to`: body inputs and node outputs).
 */
export interface ControlSlot {
  /** Inputs of the node itself that belong here. */
  readonly inputs: readonly number[];
  /** Results of bodies: output `index` of `graph`. */
  readonly results: readonly { readonly graph: Graph; readonly index: number }[];
  readonly from: readonly Value[];
  readonly to: readonly Value[];
}

/** The slots of If, Loop and Scan; undefined for other operators. */
export function controlSlots(node: Node): ControlSlot[] | undefined {
  if (node.domain !== '') return undefined;
  if (node.op === 'If') return ifSlots(node);
  if (node.op === 'Loop') return loopSlots(node);
  if (node.op === 'Scan') return scanSlots(node);
  return undefined;
}

function slot(
  node: Node,
  inputs: readonly number[],
  bodies: readonly Graph[],
  result: number | undefined,
  to: readonly (Value | undefined)[],
): ControlSlot {
  const results =
    result === undefined
      ? []
      : bodies.filter((graph) => graph.outputs[result]).map((graph) => ({ graph, index: result }));
  const from = [
    ...inputs.map((index) => node.input(index)),
    ...results.map(({ graph, index }) => graph.outputs[index]),
  ];
  const present = (value: Value | undefined): value is Value => value !== undefined;
  return { inputs, results, from: from.filter(present), to: to.filter(present) };
}

function ifSlots(node: Node): ControlSlot[] {
  return node.outputs.map((output, index) => slot(node, [], node.subgraphs, index, [output]));
}

/** Inputs M, cond, v…; body inputs i, cond, v…; body outputs cond, v…, scans…; outputs v…, scans…. */
function loopSlots(node: Node): ControlSlot[] {
  const body = node.attr('body');
  if (body?.type !== 'graph') return [];
  const graph = body.value;
  const carried = graph.inputs.length - 2;
  return Array.from({ length: Math.max(0, graph.outputs.length - 1) }, (_, i) =>
    i < carried
      ? slot(node, [i + 2], [graph], i + 1, [graph.inputs[i + 2], node.outputs[i]])
      : slot(node, [], [graph], i + 1, [node.outputs[i]]),
  );
}

/** Inputs states…, scanned…; body inputs the same; body outputs states…, scans…; outputs the same. Scan-8 has sequence_lens in front. */
function scanSlots(node: Node): ControlSlot[] {
  const body = node.attr('body');
  if (body?.type !== 'graph') return [];
  const graph = body.value;
  const offset = node.inputs.length - graph.inputs.length;
  const states = graph.inputs.length - node.int('num_scan_inputs', 0);
  const slots = graph.inputs.map((input, i) =>
    i < states
      ? slot(node, [i + offset], [graph], i, [input, node.outputs[i]])
      : slot(node, [i + offset], [], undefined, [input]),
  );
  for (let i = states; i < graph.outputs.length; i++) slots.push(slot(node, [], [graph], i, [node.outputs[i]]));
  return slots;
}
