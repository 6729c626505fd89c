import { constantOf } from '../ir/constant.ts';
import type { Model } from '../ir/graph.ts';
import { type Trace, walk } from './driver.ts';
import { miss } from './match.ts';
import type { Rule } from './rule.ts';

/** Id and summary of the rule of passes that read constants through their copies (see `readThroughCopies`). */
export const constantCopyRule = {
  'constant-copy': 'Identity of a constant, as torch.onnx writes equal parameters: its readers read the constant',
} as const;

/**
 * torch.onnx keeps one of several parameters that are equal (tied weights; zeros that biases start from) and gives the
 * others as Identity of it. Passes that look for weights would take those for activations.
 */
const constantCopy: Rule = {
  id: 'constant-copy',
  summary: constantCopyRule['constant-copy'],
  ops: ['Identity'],
  apply({ root }) {
    const [input, output] = [root.input(0), root.output()];
    if (!input || !constantOf(input) || output.isGraphOutput) return miss(root, '', false);
    root.graph.replaceUses(output, input);
    root.graph.removeWithUnused(root);
    return undefined;
  },
};

/** Lets readers of an Identity of a constant, anywhere in the model, read the constant. @returns whether one did */
export const readThroughCopies = (model: Model, trace: Trace): boolean => walk(model, [constantCopy], trace).changed;
