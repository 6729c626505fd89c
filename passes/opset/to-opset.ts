import { UserError } from '../../src/errors.ts';
import { ceilingOf, minorOf } from '../../src/ir/ceilings.ts';
import { type Model, type Node, type Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { irVersionOf, lostKernel, newestOpset, upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, type PassContext, reordered } from '../../src/pass/pass.ts';
import { inlineFunctions } from '../../src/rewrite/inline.ts';
import { ValueTypes } from '../../src/rewrite/rule.ts';
import { Emit } from './emit.ts';
import { cameWith, forms } from './forms.ts';
import { lowerings } from './lower.ts';
import { contribSince } from './runtimes.ts';
import { typeObstacle } from './types.ts';

/** The oldest that is written down here: ONNX Runtime 1.6 (2020) has it. */
const oldest = 13;

export const toOpset = definePass({
  id: 'to-opset',
  summary: 'Raise or lower the opset and the IR version to what a runtime accepts, newer operators in older ones',
  options: {
    to: opt.int(0, 'Opset of ai.onnx (0: as it is, or as --ort asks)', { min: 0, max: newestOpset }),
    ort: opt.string(
      '',
      'ONNX Runtime that must load the model, such as 1.16: opset, IR version and its own operators fit it',
    ),
  },
  rules: {
    'raise-opset': 'operators in the form of a later opset',
    'lower-opset': 'operators in the form of an earlier opset',
    'lower-operator': 'operators that the earlier opset does not have, in those that it has',
    'ir-version': 'the IR version, lowered to what the runtime accepts',
    'inline-function': "calls of the model's own functions: the nodes of their bodies",
  },
  numerics: () => reordered(),
  run(model, options, ctx) {
    const minor = options.ort === '' ? undefined : requireMinor(options.ort);
    const ceiling = minor === undefined ? undefined : ceilingOf(minor);
    if (minor !== undefined && !ceiling)
      throw new UserError(
        'opset.runtime',
        `ONNX Runtime 1.${minor} takes opset 12 at most, and ${oldest} is the oldest that models are lowered to.`,
      );
    const wanted = options.to || model.opset;
    if (ceiling && options.to > ceiling.opset)
      throw new UserError(
        'opset.runtime',
        `ONNX Runtime ${options.ort} takes opset ${ceiling.opset} at most, not ${options.to}.`,
      );
    const to = Math.min(wanted, ceiling?.opset ?? wanted);
    if (minor !== undefined) checkContrib(model, minor);
    const before = model.opset;
    let changed = false;
    if (to !== before && model.functions.length > 0 && inline(model, ctx)) changed = true;
    if (to > before) {
      const why = upgradeOpset(model, to);
      if (why) throw new UserError('opset.raise', `the opset stays at ${before}: ${why}.`);
      ctx.applied('raise-opset', 'the model', `${before} to ${to}`);
      changed = true;
    }
    if (to < before) {
      if (to < oldest)
        throw new UserError(
          'opset.lower',
          `opset ${to} is older than ${oldest}, the oldest that models are lowered to.`,
        );
      lower(model, before, to, ctx);
      model.opsets.set('', to);
      changed = true;
    }
    const most = Math.max(ceiling?.irVersion ?? model.irVersion, irVersionOf(model.opset));
    if (model.irVersion > most) {
      ctx.applied('ir-version', 'the model', `${model.irVersion} to ${most}`);
      model.irVersion = most;
      changed = true;
    }
    return { changed };
  },
});

function requireMinor(text: string): number {
  const minor = minorOf(text);
  if (minor !== undefined) return minor;
  throw new UserError('option.value', `ort takes a version of ONNX Runtime such as 1.20, not "${text}".`);
}

function inline(model: Model, ctx: PassContext): boolean {
  const { calls, left } = inlineFunctions(model);
  for (const [name, count] of calls) ctx.applied('inline-function', name, `${count} ×`);
  const [first] = left;
  if (first)
    throw new UserError(
      'opset.function',
      `the opset stays at ${model.opset}: ${first.node} cannot be inlined: ${first.why}.`,
    );
  return calls.size > 0;
}

/** Operators of the runtime's own that came later than the runtime in question. */
function checkContrib(model: Model, minor: number): void {
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      const since = node.domain === 'com.microsoft' ? contribSince[node.op] : undefined;
      if (since !== undefined && since > minor)
        throw new UserError(
          'opset.contrib',
          `${node} needs ONNX Runtime 1.${since}, not 1.${minor}: leave out the pass that made it, or ship a later runtime.`,
        );
    }
  }
}

/** Two walks: all reasons are found before anything is changed but the forms that only say the same otherwise. */
function lower(model: Model, from: number, to: number, ctx: PassContext): void {
  const types = new ValueTypes(inferShapes(model, { write: false }).types);
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (node.domain !== '') continue;
      const why = obstacle(node, to, types) ?? lostKernel(node, from, to, types.dtypeOf(node.input(0)));
      if (why) throw cannot(node, from, to, why);
    }
  }
  for (const graph of [...model.graphs()]) {
    for (const node of graph.nodes) {
      if (node.domain !== '') continue;
      if (!lowerNode(node, from, to, types, ctx)) lowerForm(node, from, to, types, ctx);
    }
  }
}

const cannot = (node: Node, from: number, to: number, why: string): UserError =>
  new UserError('opset.lower', `${node} cannot be lowered from opset ${from} to ${to}: ${why}.`);

function obstacle(node: Node, to: number, types: ValueTypes): string | undefined {
  const since = Object.hasOwn(lowerings, node.op) ? undefined : cameWith(node);
  if (since !== undefined && since > to) return `${node.op} came with opset ${since}`;
  return typeObstacle(node, to, types);
}

function lowerNode(node: Node, from: number, to: number, types: ValueTypes, ctx: PassContext): boolean {
  const entry = Object.hasOwn(lowerings, node.op) ? lowerings[node.op] : undefined;
  if (!entry || entry.since(from) <= to) return false;
  const made = entry.lower(from)(new Emit(node, to, types));
  if (typeof made === 'string') throw cannot(node, from, to, made);
  for (const [index, output] of node.outputs.entries()) {
    const by = made[index];
    if (!output || (!by && !output.isUsed)) continue;
    if (!by) throw cannot(node, from, to, `its output "${output.name}" is not written down in older operators`);
    types.carry(output, by); // operators behind it are lowered by its type
    give(node, output, by);
  }
  ctx.applied('lower-operator', node, node.op);
  node.graph.removeWithUnused(node);
  return true;
}

/** Readers of `output` read `by`, under the old name where `by` is new. */
function give(node: Node, output: Value, by: Value): void {
  by.type ??= output.type;
  const { name } = output;
  const wasOutput = output.isGraphOutput;
  node.graph.replaceUses(output, by);
  if (wasOutput || by.isGraphOutput || !by.producer) return;
  output.name = by.name;
  by.name = name;
}

function lowerForm(node: Node, from: number, to: number, types: ValueTypes, ctx: PassContext): void {
  const form = Object.hasOwn(forms, node.op) ? forms[node.op] : undefined;
  if (!form) return;
  const before = JSON.stringify([[...node.attrs.keys()], node.inputs.length]);
  const why = form(node, { from, to, types });
  if (why) throw cannot(node, from, to, why);
  if (node.removed || JSON.stringify([[...node.attrs.keys()], node.inputs.length]) !== before)
    ctx.applied('lower-opset', node.removed ? 'Shape' : node);
}
