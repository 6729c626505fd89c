import { constantOf } from '../../../src/ir/constant.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import { type Linear, notConstant } from '../linear.ts';
import type { ActivationStore } from './linear.ts';
import type { WeightStore } from './weights.ts';

/** Attributes that QAttention has too. */
const shared = ['num_heads', 'unidirectional', 'scale', 'mask_filter_value', 'do_rotary', 'past_present_share_buffer'];

/**
 * com.microsoft.Attention → DynamicQuantizeLinear, QAttention: the product that makes queries, keys and values runs in 8 bits, with one
 * scale per column; the rest of the attention stays in float.
 */
export function attentionRule(weights: WeightStore, activations: ActivationStore): Rule {
  return {
    id: 'attention',
    summary: 'Fused attention makes queries, keys and values in 8 bits (QAttention)',
    ops: ['com.microsoft.Attention'],
    apply({ root }, edit) {
      const [x, w, bias] = [root.input(0), root.input(1), root.input(2)];
      const tensor = constantOf(w);
      if (!x || !w || !tensor) return miss(root, notConstant(w));
      if (!bias) return miss(root, 'it has no bias, which QAttention asks for');
      const extra = ['attention_bias', 'past_sequence_length'].find((_, index) => root.input(5 + index));
      if (extra) return miss(root, `it has ${extra}, which QAttention has not`);
      const unknown = [...root.attrs.keys()].find((name) => !shared.includes(name) && !isNeutral(name, root.int(name)));
      if (unknown) return miss(root, `it has ${unknown}, which QAttention has not`);
      const [k, n] = tensor.shape;
      if (tensor.shape.length !== 2 || k === undefined || n === undefined)
        return miss(root, `its weights "${w.name}" are no matrix`);
      if (edit.opset < 11)
        return miss(root, `opset ${edit.opset} has no DynamicQuantizeLinear: export the model with opset 11 or later`);
      const linear: Linear = {
        node: root,
        a: x,
        transA: false,
        weight: w,
        tensor,
        batch: [],
        k,
        n,
        rows: 'k',
        alpha: 1,
        c: undefined,
        beta: 1,
      };
      const quantized = weights.columns(linear);
      if (typeof quantized === 'string') return miss(root, quantized);
      const activation = activations.get(edit, x, false);
      const { outputs } = root;
      const node = edit.insert('QAttention', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [
          activation.codes,
          quantized.codes,
          bias,
          activation.scale,
          quantized.scales,
          root.input(3),
          activation.zeroPoint,
          quantized.zeroPoint,
          root.input(4),
        ],
        outputs: outputs.map((output) => (output ? '' : undefined)),
        attrs: Object.fromEntries([...root.attrs].filter(([name]) => shared.includes(name))),
        types: [tensorType('float32', root.output().shape)],
      });
      useMicrosoft(root);
      for (const [index, output] of [...outputs.entries()]) if (output) edit.replaceValue(output, node.output(index));
      edit.removeUnused(root);
      return { detail: `${tensor.shape.join('×')} weights in 8 bits` };
    },
  };
}

/** Attributes that say nothing at this value. */
function isNeutral(name: string, value: number | undefined): boolean {
  return name === 'rotary_embedding_dim' && value === 0;
}
