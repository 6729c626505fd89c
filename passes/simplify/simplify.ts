import { UserError } from '../../src/errors.ts';
import type { Model, Node } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { nearest } from '../../src/messages.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, exact, type PassContext } from '../../src/pass/pass.ts';
import { toFixedPoint } from '../../src/rewrite/driver.ts';
import { modernizeInputs } from '../../src/rewrite/modernize-inputs.ts';
import { shareInitializers } from '../../src/rewrite/share-initializers.ts';
import { constantsToInitializers } from './constant-nodes.ts';
import { eliminateCommon } from './cse.ts';
import { removeDead } from './dead.ts';
import { dropExporterNotes } from './exporter-notes.ts';
import { foldConstants, growthBudget } from './fold-constants.ts';
import { foldRule, type GrowthBudget } from './fold-region.ts';
import { foldShapes } from './fold-shapes.ts';
import { inlineCalls } from './functions.ts';
import { inlineConstantIf } from './inline-if.ts';
import { fixInputShapes } from './input-shapes.ts';
import { Known } from './known.ts';
import { bindRule } from './local-rule.ts';
import { simplifyLoops } from './loops.ts';
import { RoundTrace } from './round-trace.ts';
import { localRules } from './rule-list.ts';

const stepRules = {
  'ir-version': 'IR versions before 4: raised, since initializers need not be inputs from then on',
  'constant-input':
    'an initializer that is listed as an input, though IR versions before 4 hold it constant: no input any more',
  'input-shape': 'dynamic dimensions fixed as asked for',
  'exporter-notes': "stack traces and scopes of the author's source code, noted by PyTorch's exporters",
  'dead-node': 'nodes whose outputs nobody reads',
  'unused-output': 'optional outputs, and outputs of If and Loop, that nobody reads',
  'unused-initializer': 'constants nobody reads',
  'constant-node': 'Constant nodes become initializers, so that constants have one form',
  'tied-initializer': 'constants of equal type, shape and bits: one copy',
  'common-subexpression': 'a node that repeats an earlier one: the earlier one serves both',
  'inline-function': "calls of the model's own functions: the nodes of their bodies",
  'if-constant': 'If with a constant condition: the nodes of the branch it takes',
  'loop-never-runs': 'Loop that never runs: what it starts from',
  'fold-shape': 'shape arithmetic that comes out as numbers, whatever the inputs',
  'shape-value': 'shape arithmetic that comes out as the same symbols as an earlier value: that value',
  [foldRule]: 'what depends on constants alone, computed by ONNX Runtime',
} as const;

/** Rounds until nothing changes; real models need three or four. */
const maxRounds = 50;

export const simplify = definePass({
  id: 'simplify',
  summary: 'Remove what does nothing, compute what is constant, share what is equal: bit-identical results',
  options: {
    inputShape: opt.list([], 'Fix dynamic dimensions: x=1x3x224x224, x=batch:1, or batch=1'),
    maxGrowth: opt.number(
      1.25,
      'Folding may grow the weights to this factor of their size (512 KiB are always allowed)',
      {
        min: 1,
        max: 1000,
      },
    ),
    skip: opt.list([], 'Rules to leave out, by name'),
  },
  rules: { ...stepRules, ...Object.fromEntries(localRules.map((rule) => [rule.id, rule.summary])) },
  numerics: () => exact,
  async run(model, options, ctx) {
    checkRuleNames(options.skip);
    const skip = new Set(options.skip);
    const trace = new RoundTrace(ctx);
    const context: PassContext = { ...ctx, applied: trace.applied.bind(trace), skipped: trace.skipped.bind(trace) };
    let changed = modernizeInputs(model, trace);
    if (!skip.has('inline-function') && inlineCalls(model, ctx)) changed = true;
    if (!skip.has('exporter-notes') && dropExporterNotes(model, trace)) changed = true;
    if (fixInputShapes(model, options.inputShape, trace)) changed = true;
    for (const graph of [model.graph, ...model.functions.map((fn) => fn.body)]) {
      if (sortTopologically(graph)) changed = true;
    }
    const budget = growthBudget(model, options.maxGrowth);
    const failed = new Map<Node, string>();
    for (let round = 0; ; round++) {
      ctx.signal.throwIfAborted();
      if (round === maxRounds) {
        trace.skipped(
          'simplify',
          'the model',
          `stopped after ${maxRounds} rounds, although the last one still changed something`,
        );
        break;
      }
      trace.beginRound();
      if (!(await runRound(model, skip, context, budget, failed))) break;
      changed = true;
    }
    trace.end();
    return { changed };
  },
});

async function runRound(
  model: Model,
  skip: ReadonlySet<string>,
  ctx: PassContext,
  budget: GrowthBudget,
  failed: Map<Node, string>,
): Promise<boolean> {
  let changed = false;
  const step = (name: keyof typeof stepRules, run: (model: Model, trace: PassContext) => boolean): void => {
    if (!skip.has(name) && run(model, ctx)) changed = true;
  };
  step('dead-node', removeDead);
  step('constant-node', constantsToInitializers);
  step('tied-initializer', shareInitializers);
  const known = new Known(inferShapes(model, { write: false }));
  if (!skip.has('fold-shape') && foldShapes(model, known, ctx)) changed = true;
  const rules = localRules.filter((rule) => !skip.has(rule.id)).map((rule) => bindRule(rule, known));
  if (toFixedPoint(model, rules, ctx).changed) changed = true;
  step('if-constant', inlineConstantIf);
  step('loop-never-runs', simplifyLoops);
  step('common-subexpression', eliminateCommon);
  if (!skip.has(foldRule) && (await foldConstants(model, known, ctx, budget, failed))) changed = true;
  step('dead-node', removeDead);
  return changed;
}

function checkRuleNames(names: readonly string[]): void {
  const known = [...Object.keys(stepRules), ...localRules.map((rule) => rule.id)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UserError('unknown-rule', `simplify has no rule "${unknown}" to skip${nearest(unknown, known)}`);
  }
}
