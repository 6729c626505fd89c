import { constantScalar } from '../../../src/ir/constant.ts';
import type { Node } from '../../../src/ir/graph.ts';
import { localRule, type Plan } from '../local-rule.ts';

export const identity = localRule('identity', 'Identity: its readers read its input', ['Identity'], bypassInput);

/** Operators of variadic arity that give back a single operand (ONNX Sum, Max, Min, Mean, Concat, Split). */
export const singleOperand = localRule(
  'single-operand',
  'Sum, Max, Min, Mean or Concat of one operand, Split into one part: the operand itself',
  ['Sum', 'Max', 'Min', 'Mean', 'Concat', 'Split'],
  (node) => {
    if (node.is('Split')) {
      return node.outputs.length === 1 && node.input(1) === undefined && !node.attrs.has('split')
        ? bypassInput(node)
        : undefined;
    }
    return node.inputs.length === 1 ? bypassInput(node) : undefined;
  },
);

/** Dropout outside training copies its input (opset 7 on; before, `is_test`). */
export const dropout = localRule(
  'dropout',
  'Dropout outside training: its input',
  ['Dropout'],
  (node, _known, site) => {
    if (site.opset < 7 && node.int('is_test', 0) === 0)
      return { why: `Dropout of opset ${site.opset} is in training mode` };
    const training = node.input(2);
    if (training) {
      const mode = constantScalar(training);
      if (mode === undefined) return { why: `whether it trains is decided by "${training.name}" at run time` };
      if (mode !== 0) return { why: 'it is in training mode and draws random numbers' };
    }
    const mask = node.outputs[1];
    if (mask?.isUsed) return { why: `its mask "${mask.name}" is used` };
    return bypassInput(node);
  },
);

function bypassInput(node: Node): Plan {
  const input = node.input(0);
  return input && node.outputs[0] ? { bypass: input } : undefined;
}
