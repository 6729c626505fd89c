import type { LocalFunction, Model, Node } from '../../src/ir/graph.ts';
import { graphsBelow } from '../../src/ir/graph.ts';

/** Operators of ai.onnx that draw random numbers. */
const random = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
]);

/** com.microsoft operators that draw, keep state or train. */
const impureMicrosoft = new Set([
  'BiasDropout',
  'BitmaskDropout',
  'BitmaskBiasDropout',
  'Sampling',
  'BeamSearch',
  'GreedySearch',
  'RandomNormal',
]);

/** Answers, for the nodes of one model, whether the same inputs always give the same outputs; with the reason if not. */
export interface Purity {
  /** undefined: pure. Otherwise why the node may not be computed once and for all. */
  impure(node: Node): string | undefined;
}

export function purityOf(model: Model): Purity {
  const functions = new Map<string, LocalFunction>();
  for (const fn of model.functions) functions.set(functionKey(fn.domain, fn.name, fn.overload), fn);
  const bodies = new Map<LocalFunction, string | undefined>();

  const bodyReason = (fn: LocalFunction): string | undefined => {
    if (bodies.has(fn)) return bodies.get(fn);
    bodies.set(fn, `function ${fn.name} calls itself`);
    let reason: string | undefined;
    for (const graph of graphsBelow(fn.body)) {
      for (const node of graph.nodes) reason ??= own(node);
    }
    bodies.set(fn, reason);
    return reason;
  };
  const own = (node: Node): string | undefined => {
    const fn = functions.get(functionKey(node.domain, node.op, node.overload));
    if (fn) return bodyReason(fn);
    switch (node.domain) {
      case '':
        if (random.has(node.op)) return `${node.op} draws random numbers`;
        if (node.op === 'Dropout' && trains(node)) return 'Dropout in training mode draws random numbers';
        return undefined;
      case 'com.microsoft':
        return impureMicrosoft.has(node.op) ? `${node.op} draws random numbers or keeps state` : undefined;
      case 'ai.onnx.ml':
        return undefined;
      default:
        return `the operator set "${node.domain}" is unknown, so its result may change from run to run`;
    }
  };
  return {
    impure(node) {
      const reason = own(node);
      if (reason || node.subgraphs.length === 0) return reason;
      for (const subgraph of node.subgraphs) {
        for (const graph of graphsBelow(subgraph)) {
          for (const inner of graph.nodes) {
            const why = own(inner);
            if (why) return `in its body, ${why}`;
          }
        }
      }
      return undefined;
    },
  };
}

/** Dropout-7 to -11 are inference only; before, `is_test`; from 12 on the input `training_mode`, false when absent. */
function trains(node: Node): boolean {
  return node.input(2) !== undefined || (node.attr('is_test') === undefined && (node.graph.model?.opset ?? 7) < 7);
}

function functionKey(domain: string, name: string, overload: string): string {
  return `${domain}:${name}:${overload}`;
}
