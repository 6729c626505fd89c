import { constantOf } from '../../../src/ir/constant.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { miss } from '../../../src/rewrite/match.ts';
import { any, maybe, op } from '../../../src/rewrite/pattern.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

/**
 * ONNX Runtime makes SkipLayerNormalization of Add and norm whenever it loads a file and knows the shapes. Its CPU kernel takes two to three times as long as the two (whisper-encoder
 * of the zoo, profiled: 41 µs to 18); Sum, which has the same kernel as Add for two operands, it leaves alone. Measured, one thread, interleaved, the whole model's time with Sum over that with Add:
 * bert.dy ×0.87, phi and whisper-encoder ×0.96, vit ×0.97, and ×1.00 where the shapes are not known. On WebAssembly it is the other way round (×1.01 to 1.03).
 */
export function normSum(target: FusionTarget): Rule {
  const norms = ['LayerNormalization', 'SimplifiedLayerNormalization'];
  return {
    id: 'norm-sum',
    summary:
      'Add before a norm is Sum on the CPU, since ONNX Runtime would make the slower SkipLayerNormalization of it',
    ops: norms,
    pattern: op(norms, [op('Add', [any('a'), any('b')], { as: 'add' }), any('gamma'), maybe(any('beta'))], {
      as: 'norm',
    }),
    check(match, { types, opset }) {
      const norm = match.node('norm');
      const quiet = (why: string) => miss(norm, why, false);
      if (target.provider !== 'cpu') return quiet(`SkipLayerNormalization is not slower on ${target.provider}`);
      if (opset < 8) return quiet('Sum does not broadcast before opset 8');
      const sum = match.node('add').output();
      if (types.dtypeOf(sum) !== 'float32') return quiet('the sum is not float32');
      if (usedOnce(sum) !== true) return quiet('ONNX Runtime leaves a sum alone that goes on elsewhere');
      // ONNX Runtime makes Gemm of it.
      const bias = [match.value('a'), match.value('b')].find(
        (value) => constantOf(value) && types.shapeOf(value)?.length === 1,
      );
      return bias === undefined || quiet(`"${bias.name}" is a bias, no residual`);
    },
    apply(match, edit) {
      const add = match.node('add');
      const sum = edit.insert('Sum', { inputs: [match.value('a'), match.value('b')] }, add);
      edit.replace(add, sum);
    },
  };
}
