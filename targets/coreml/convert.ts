import { UserError } from '../../src/errors.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { Converter } from './converter.ts';
import type { MilGraph, Ref } from './graph.ts';
import { handlers } from './handlers.ts';

export interface ConvertOptions {
  /** What the program computes in; inputs and outputs are 32-bit floats and integers in either case. */
  readonly precision: 'float32' | 'float16';
}

export interface Converted {
  readonly graph: MilGraph;
  /** Names of the model's inputs and outputs by those in the program, where names are identifiers. */
  readonly names: Readonly<Record<string, string>>;
}

/** Operators that have no counterpart, with their counts; empty when all have. */
export function unsupportedOps(model: Model): string[] {
  const missing = new Map<string, number>();
  const c = new Converter(model, 'fp32');
  for (const node of model.graph.nodes) {
    if (node.domain === '' && (node.op === 'Constant' || Object.hasOwn(handlers, node.op))) continue;
    if (node.is('DequantizeLinear') && c.constant(node.output())) continue;
    const name = node.domain === '' ? node.op : `${node.domain}:${node.op}`;
    missing.set(name, (missing.get(name) ?? 0) + 1);
  }
  return [...missing]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => (count > 1 ? `${name} (${count})` : name));
}

/**
 * The graph as an ML program, in the model's own order of axes, which is Core ML's.
 * @param model of fixed shapes, types of all values known
 * @throws UserError `coreml-unsupported` naming the first node that has no counterpart and why
 */
export function convertToCoreml(model: Model, { precision }: ConvertOptions): Converted {
  const missing = unsupportedOps(model);
  if (missing.length > 0) {
    throw new UserError(
      'coreml-unsupported',
      `These operators have no counterpart in Core ML here: ${missing.join(', ')}.`,
    );
  }
  const c = new Converter(model, precision === 'float16' ? 'fp16' : 'fp32');
  const names: Record<string, string> = {};
  for (const [i, value] of model.graph.inputs.entries()) {
    if (value.initializer) continue;
    const name = c.inputNames[i] ?? '';
    names[name] = value.name;
    const type = c.typeOf(value);
    const outside = type === 'int32' ? 'int32' : 'fp32';
    if (type === 'bool')
      throw new UserError('coreml-type', `Input "${value.name}" is bool, which Core ML models do not take.`);
    c.put(value, c.cast(c.mil.input(name, outside, c.shape(value)), type));
  }
  for (const node of model.graph.nodes) {
    if (node.is('Constant') || (node.is('DequantizeLinear') && c.constant(node.output()))) continue;
    (handlers[node.op] ?? (() => c.fail(node, 'there is no counterpart')))(node, c);
  }
  for (const [i, value] of model.graph.outputs.entries()) {
    const name = c.outputNames[i] ?? '';
    names[name] = value.name;
    c.mil.outputs.push(output(c, value, name));
  }
  return { graph: c.mil, names };
}

/** The value under its own name and in a type that Core ML hands out, made by an operation of its own. */
function output(c: Converter, value: Value, name: string): Ref {
  const ref = c.ref(value);
  const out = { name, shape: ref.shape, exact: true };
  if (ref.shape.length === 0)
    throw new UserError('coreml-unsupported', `Output "${value.name}" is a scalar, which Core ML models do not give.`);
  if (ref.type === 'bool')
    return c.mil.op('cast', { x: ref, dtype: c.text('int32') }, [{ ...out, type: 'int32' }])[0] as Ref;
  if (ref.type === 'fp16')
    return c.mil.op('cast', { x: ref, dtype: c.text('fp32') }, [{ ...out, type: 'fp32' }])[0] as Ref;
  return c.mil.op('identity', { x: ref }, [{ ...out, type: ref.type }])[0] as Ref;
}
