import type { Graph, Model, Node, Value } from './graph.ts';
import type { Problem, VerifyContext } from './verify/context.ts';
import { checkAttrs, checkTypes } from './verify/node.ts';
import { checkUses } from './verify/uses.ts';

/**
 * Checks what every later step relies on: names in single static assignment, definitions before uses, captured values
 * in sight, use lists that agree with the inputs, known types that do not contradict each other, opsets imported for
 * every domain, bodies for function calls. An empty list says that the model is well formed as far as this can tell:
 * that its ops exist and their inputs fit is for the runtime to say.
 */
export function verify(model: Model): Problem[] {
  const problems: Problem[] = [];
  const report = (code: Problem['code'], where: string, message: string): void => {
    problems.push({ code, message, where });
  };
  const functions = new Map<string, Set<string>>();
  for (const { domain, name, overload } of model.functions) {
    functions.set(domain, (functions.get(domain) ?? new Set()).add(`${name}:${overload}`));
  }
  verifyRoot(model.graph, { functions, fn: undefined, opsets: model.opsets, report });
  for (const fn of model.functions) verifyRoot(fn.body, { functions, fn, opsets: fn.opsets, report });
  return problems;
}

function verifyRoot(root: Graph, context: VerifyContext): void {
  const defined = new Map<string, Value>();
  verifyGraph(root, root.name || (context.fn ? context.fn.name : 'main'), {
    context,
    defined,
    ready: new Set(),
    outer: undefined,
  });
  checkUses(root, context);
}

/** Names and values in sight at some place of a graph. */
interface Scope {
  readonly context: VerifyContext;
  readonly defined: Map<string, Value>;
  /** Values made so far, in order. */
  readonly ready: Set<Value>;
  readonly outer: Scope | undefined;
}

function verifyGraph(graph: Graph, where: string, scope: Scope): void {
  const { context } = scope;
  for (const input of graph.inputs) define(input, where, scope);
  for (const value of graph.initializers) {
    if (!value.isGraphInput) define(value, where, scope);
    checkInitializer(value, where, context);
  }
  // Names of the whole graph first, so that a reader standing before its definition is told from a missing one.
  for (const node of graph.nodes) for (const output of node.outputs) if (output) declare(output, where, scope);
  for (const node of graph.nodes) {
    const place = `${where} / ${node}`;
    for (const [index, value] of node.inputs.entries()) {
      if (value) checkRead(value, graph, place, `input ${index}`, scope);
    }
    checkDomain(node, place, context);
    checkAttrs(node, place, context);
    checkTypes(node, place, context);
    for (const [name, attr] of node.attrs) {
      const graphs = attr.type === 'graph' ? [attr.value] : attr.type === 'graphs' ? attr.value : [];
      for (const inner of graphs) {
        if (inner.ownerNode !== node) {
          context.report(
            'graph-owner',
            `${place} / ${name}`,
            `The graph of attribute "${name}" belongs to another node.`,
          );
          continue;
        }
        verifyGraph(inner, `${place} / ${name}`, { context, defined: new Map(), ready: new Set(), outer: scope });
      }
    }
    for (const output of node.outputs) if (output) scope.ready.add(output);
  }
  for (const [index, output] of graph.outputs.entries()) {
    checkRead(output, graph, where, `output ${index}`, scope);
    if (output.graph !== graph) {
      context.report(
        'graph-output',
        where,
        `Output ${index}, "${output.name}", is a value of an outer graph: an Identity node must carry it.`,
      );
    }
  }
}

function define(value: Value, where: string, scope: Scope): void {
  declare(value, where, scope);
  scope.ready.add(value);
}

function declare(value: Value, where: string, scope: Scope): void {
  if (value.name === '') {
    scope.context.report(
      'name-empty',
      where,
      `A value ${value.producer ? `made by ${value.producer}` : ''} has no name.`,
    );
    return;
  }
  const other = scope.defined.get(value.name);
  if (other && other !== value) {
    scope.context.report('name-duplicate', where, `Two values are named "${value.name}".`);
    return;
  }
  scope.defined.set(value.name, value);
}

function checkRead(value: Value, graph: Graph, where: string, role: string, scope: Scope): void {
  const { report } = scope.context;
  if (value.producer?.removed) {
    report('removed-node', where, `The ${role}, "${value.name}", is made by a node that was removed.`);
    return;
  }
  const home = value.graph;
  let at: Scope | undefined = scope;
  let around: Graph | undefined = graph;
  while (at && around && around !== home) {
    // By name the reader would get the inner value instead of the one it holds.
    if (at.defined.has(value.name)) {
      report(
        'name-shadowed',
        where,
        `The ${role} is the outer value "${value.name}", which a value of the same name hides.`,
      );
    }
    at = at.outer;
    around = around.parent;
  }
  if (!at || around !== home) {
    report(
      'out-of-scope',
      where,
      `The ${role}, "${value.name}", is a value of graph "${home.name}", which cannot be seen from here.`,
    );
  } else if (!value.producer && !value.isGraphInput && value.initializer === undefined) {
    report('undefined-value', where, `Nothing defines the ${role}, "${value.name}".`);
  } else if (!at.ready.has(value)) {
    report('order', where, `The ${role}, "${value.name}", is read before it is made: sort the graph.`);
  }
}

function checkInitializer(value: Value, where: string, { report }: VerifyContext): void {
  const tensor = value.initializer;
  const { type } = value;
  if (!tensor || type === undefined || type.kind === 'opaque') return;
  if (type.kind === 'sparse_tensor') return;
  const fits =
    type.kind === 'tensor' &&
    type.dtype === tensor.dtype &&
    (type.shape === undefined ||
      (type.shape.length === tensor.shape.length &&
        type.shape.every((dim, axis) => typeof dim !== 'number' || dim === tensor.shape[axis])));
  if (!fits) {
    report(
      'initializer-type',
      where,
      `Initializer "${value.name}" is ${tensor.dtype}[${tensor.shape.join(',')}], not of the type it is declared with.`,
    );
  }
}

/** Domains of ONNX and ONNX Runtime: their ops are known to the runtime, not to us. */
const runtimeDomains = /^$|^ai\.onnx|^com\.microsoft|^com\.ms\.|^org\.pytorch\.aten$/;

function checkDomain(node: Node, where: string, { functions, opsets, report }: VerifyContext): void {
  const { domain, op, overload } = node;
  if (!opsets.has(domain)) {
    report('opset-missing', where, `No opset is imported for the domain "${domain || 'ai.onnx'}" of ${node}.`);
  }
  const own = functions.get(domain);
  if (own?.has(`${op}:${overload}`)) return;
  if (overload !== '' || (own && !runtimeDomains.test(domain))) {
    report('function-missing', where, `The model has no function ${domain}.${op}${overload ? `:${overload}` : ''}.`);
  }
}
