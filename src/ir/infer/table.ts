import type { Rule, RuleTable } from './context.ts';
import { attention } from './ops/attention.ts';
import { contrib } from './ops/contrib.ts';
import { control } from './ops/control.ts';
import { elementwise } from './ops/elementwise.ts';
import { indexing } from './ops/indexing.ts';
import { linear } from './ops/linear.ts';
import { misc } from './ops/misc.ts';
import { ml } from './ops/ml.ts';
import { quant } from './ops/quant.ts';
import { recurrentOps } from './ops/recurrent.ts';
import { reductions } from './ops/reduce.ts';
import { sequences } from './ops/sequence.ts';
import { shape } from './ops/shape.ts';
import { spatial } from './ops/spatial.ts';

const onnx: RuleTable = {
  ...elementwise,
  ...shape,
  ...indexing,
  ...linear,
  ...spatial,
  ...reductions,
  ...quant,
  ...recurrentOps,
  ...control,
  ...sequences,
  ...misc,
  Attention: attention,
};

const domains: Readonly<Record<string, RuleTable>> = { '': onnx, 'com.microsoft': contrib, 'ai.onnx.ml': ml };

/** The rule of an op; undefined for ops this version does not know. */
export function findRule(domain: string, op: string): Rule | undefined {
  const table = Object.hasOwn(domains, domain) ? domains[domain] : undefined;
  return table && Object.hasOwn(table, op) ? table[op] : undefined;
}

/** Every op with a rule, as [domain, op]. */
export function ruledOps(): [string, string][] {
  return Object.entries(domains).flatMap(([domain, table]) =>
    Object.keys(table).map((op): [string, string] => [domain, op]),
  );
}
