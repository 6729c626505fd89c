import { constantOf } from '../../src/ir/constant.ts';
import { computedTensor, typedArray } from '../../src/ir/tensor.ts';
import { hasFewValues, roundMantissa } from '../../src/kernels/mantissa.ts';
import { countZeros } from '../../src/kernels/mask.ts';
import type { PassContext } from '../../src/pass/pass.ts';
import type { Pattern } from './pattern.ts';
import { putConstant } from './store.ts';
import type { PruneTarget } from './targets.ts';
import { weightsOf } from './weights.ts';

/** Weights of so many different values, in so many times more elements, were rounded before: from a grid of integers, mostly. */
const fewValues = 4096;
const perValue = 4;

/** Rounds the mantissas of float32 weights, so that they compress; halves have 10 bits, and stay. */
export function roundWeights(targets: Iterable<PruneTarget>, bits: number, ctx: PassContext): void {
  let count = 0;
  for (const { value } of targets) {
    const tensor = constantOf(value);
    if (tensor?.dtype !== 'float32') continue;
    putConstant(
      value,
      computedTensor('float32', tensor.shape, () => {
        const rounded = roundMantissa(typedArray(tensor, 'float32'), bits);
        return new Uint8Array(rounded.buffer, rounded.byteOffset, rounded.byteLength);
      }),
    );
    count++;
  }
  ctx.note?.(
    `the weights of ${count} layers are rounded to ${bits} bits of mantissa: an error of at most 2^-${bits + 1} of each`,
  );
}

/** Layers whose weights compressed well because they had few different values, and have many since they were fitted. */
export function tellLostGrid(fitted: Iterable<PruneTarget>, ctx: PassContext): void {
  let count = 0;
  for (const target of fitted)
    if (hasFewValues(weightsOf(target), Math.min(fewValues, target.elements / perValue))) count++;
  if (count === 0) return;
  const why = `the weights of ${count} layers had few different values (a grid of integers, mostly), which compress well; fitted to the data they have many, and the compressed file may be larger than before in spite of the zeros: --mantissa 7 rounds them, --score magnitude moves none`;
  ctx.skipped('compression', 'model', why);
}

/** Says how many zeros a pattern came to, where it is not the share asked for. */
export function tellZeros(targets: readonly PruneTarget[], pattern: Pattern, sparsity: number, ctx: PassContext): void {
  if (pattern.kind === 'share') return;
  const asked = pattern.kind === 'n-of-m' ? 1 - pattern.n / pattern.m : sparsity;
  let [zeros, total] = [0, 0];
  for (const target of targets) {
    const tensor = constantOf(target.value);
    if (!tensor) continue;
    zeros += countZeros(weightsOf({ ...target, tensor }));
    total += target.elements;
  }
  if (total === 0 || Math.abs(zeros / total - asked) <= 0.001) return;
  const why =
    pattern.kind === 'n-of-m'
      ? `rows end before a group of ${pattern.m} is full, or have fewer inputs`
      : `groups of ${pattern.size} go as a whole, and the nearest number of them is taken`;
  ctx.note?.(`${percent(zeros / total)} of the weights are zero, not the ${percent(asked)} asked for: ${why}`);
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
