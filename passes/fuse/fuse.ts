import { UserError } from '../../src/errors.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { nearest } from '../../src/messages.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, reordered } from '../../src/pass/pass.ts';
import { toFixedPoint } from '../../src/rewrite/driver.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNormConv } from './batch-norm-conv.ts';
import { clipClip } from './clip-clip.ts';
import { addChain, mulChain } from './constant-chain.ts';
import { convAdd } from './conv-add.ts';
import { convBatchNorm } from './conv-batch-norm.ts';
import { convMul } from './conv-mul.ts';
import { gemmAdd } from './gemm-add.ts';
import { gemmBatchNorm } from './gemm-batch-norm.ts';
import { gemmMul } from './gemm-mul.ts';
import { matmulAdd } from './matmul-add.ts';
import { padConv } from './pad-conv.ts';
import { padPool } from './pad-pool.ts';

/** In the order in which they are tried at a node. */
const rules: readonly Rule[] = [
  convBatchNorm,
  gemmBatchNorm,
  convAdd,
  convMul,
  gemmAdd,
  gemmMul,
  matmulAdd,
  padConv,
  padPool,
  batchNormConv,
  clipClip,
  addChain,
  mulChain,
];

export const fuse = definePass({
  id: 'fuse',
  summary: 'Fold normalization, bias, factors and padding into convolutions and matrix products; merge limits',
  options: {
    skip: opt.list([], 'Rules to leave out, by name'),
  },
  rules: Object.fromEntries(rules.map((rule) => [rule.id, rule.summary])),
  numerics: () => reordered(),
  run(model, options, ctx) {
    const unknown = options.skip.find((name) => !rules.some((rule) => rule.id === name));
    if (unknown !== undefined) {
      const names = rules.map((rule) => rule.id);
      throw new UserError(
        'rule-unknown',
        `fuse has no rule "${unknown}"${nearest(unknown, names)}; it has ${names.join(', ')}.`,
      );
    }
    const used = rules.filter((rule) => !options.skip.includes(rule.id));
    const { types } = inferShapes(model, { write: false });
    const { changed } = toFixedPoint(model, used, ctx, { allMisses: ctx.explain ?? false, types });
    return { changed };
  },
});
