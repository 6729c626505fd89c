import type { Attr } from '../attr.ts';
import { Graph, Model, type Node, type Value } from '../graph.ts';
import { tensorType } from '../types.ts';
import { parseAttr, parseGraphBody, parseGraphSyntax, parsePairs } from './grammar.ts';
import { Lexer } from './lexer.ts';
import type { AttrSyntax, FunctionSyntax, GraphSyntax, HeaderSyntax, Notes, ValueSyntax } from './syntax.ts';

/**
 * Reads the text form that `printModel` writes (and ONNX's own, for what both have):
 *
 * ```
 * <ir_version: 8, opset_import: ["" : 17]>
 * main (float[N,3] x) => (float[N,2] y)
 * < float[3,2] w = random(7), float b = {0.5} >     # data: {…}, random(seed), random(seed, low, high), fill(v), range(start)
 * {
 *   [node1] float[N,2] h = MatMul (x, w)            # types of inner values are optional
 *   y = Add (h, b)
 * }
 * ```
 * `float` is a scalar, `float[]` a tensor of unknown rank (with data: a scalar too), `?` an unknown dimension.
 * Names that are no plain identifiers stand in quotes. Nodes may stand in any order.
 * @throws UserError `text-syntax` with line and column.
 */
export function parseModel(text: string): Model {
  const lexer = new Lexer(text);
  const header = parseHeader(lexer);
  const syntax = parseGraphSyntax(lexer);
  const opsets = header.opsets ?? lexer.fail('the header names no opset_import', 0);
  const functions: FunctionSyntax[] = [];
  while (lexer.token.kind !== 'end') functions.push(parseFunction(lexer));
  const model = new Model(buildGraph(lexer, syntax), opsets, Number(header.integers.get('ir_version') ?? 8n));
  model.producerName = header.strings.get('producer_name') ?? '';
  model.producerVersion = header.strings.get('producer_version') ?? '';
  model.domain = header.strings.get('domain') ?? '';
  model.modelVersion = header.integers.get('model_version') ?? 0n;
  model.doc = header.strings.get('doc_string');
  for (const [key, value] of header.meta) model.meta.set(key, value);
  for (const fn of functions) {
    const doc = fn.header.strings.get('doc_string');
    model.addFunction({
      domain: fn.header.strings.get('domain') ?? '',
      name: fn.body.name,
      overload: fn.header.strings.get('overload') ?? '',
      body: buildGraph(lexer, fn.body),
      attributes: fn.parameters,
      defaults: new Map([...fn.defaults].map(([name, attr]) => [name, buildAttr(lexer, attr, undefined, undefined)])),
      opsets: new Map(fn.header.opsets ?? model.opsets),
      ...(doc !== undefined && { doc }),
      ...(fn.header.meta.size > 0 && { meta: fn.header.meta }),
    });
  }
  return model;
}

function parseHeader(lexer: Lexer): HeaderSyntax {
  const integers = new Map<string, bigint>();
  const strings = new Map<string, string>();
  let opsets: Map<string, number> | undefined;
  let meta = new Map<string, string>();
  if (lexer.take('<')) {
    while (!lexer.is('>')) {
      const { at } = lexer.token;
      const key = lexer.name('a key');
      lexer.expect(':');
      if (key === 'opset_import') opsets = parseOpsets(lexer);
      else if (key === 'metadata_props') meta = parsePairs(lexer, '[', ']');
      else if (key === 'ir_version' || key === 'model_version') integers.set(key, lexer.integer('an integer'));
      else if (['producer_name', 'producer_version', 'domain', 'doc_string', 'overload'].includes(key)) {
        strings.set(key, lexer.string('a text'));
      } else lexer.fail(`unknown key "${key}" in a header`, at);
      if (!lexer.take(',')) break;
    }
    lexer.expect('>');
  }
  return { integers, strings, meta, ...(opsets && { opsets }) };
}

function parseOpsets(lexer: Lexer): Map<string, number> {
  const opsets = new Map<string, number>();
  lexer.expect('[');
  while (!lexer.is(']')) {
    const domain = lexer.string('a domain');
    lexer.expect(':');
    opsets.set(domain === 'ai.onnx' ? '' : domain, Number(lexer.integer('an opset version')));
    if (!lexer.take(',')) break;
  }
  lexer.expect(']');
  return opsets;
}

function parseFunction(lexer: Lexer): FunctionSyntax {
  const header = parseHeader(lexer);
  const name = lexer.name('the name of a function');
  const parameters: string[] = [];
  const defaults = new Map<string, AttrSyntax>();
  if (lexer.take('<')) {
    while (!lexer.is('>')) {
      const parameter = lexer.name('the name of an attribute');
      if (lexer.is('=') || lexer.is(':')) defaults.set(parameter, parseAttr(lexer));
      else parameters.push(parameter);
      if (!lexer.take(',')) break;
    }
    lexer.expect('>');
  }
  return { header, parameters, defaults, body: { name, ...parseGraphBody(lexer) } };
}

/** Names visible in a graph: its own, then those of the graphs around it. */
class Scope {
  readonly #names = new Map<string, Value>();
  readonly #outer: Scope | undefined;
  constructor(outer: Scope | undefined) {
    this.#outer = outer;
  }
  own(name: string): Value | undefined {
    return this.#names.get(name);
  }
  find(name: string): Value | undefined {
    return this.#names.get(name) ?? this.#outer?.find(name);
  }
  /** The first definition of a name counts; a second one is `verify`'s business. */
  define(value: Value): void {
    if (!this.#names.has(value.name)) this.#names.set(value.name, value);
  }
}

function buildGraph(lexer: Lexer, syntax: GraphSyntax, outer?: Scope, owner?: Node): Graph {
  const graph = new Graph(syntax.name);
  if (owner) graph.ownerNode = owner;
  annotate(graph, syntax);
  const scope = new Scope(outer);
  for (const input of syntax.inputs) scope.define(annotate(graph.addInput(input.name, input.type), input));
  for (const entry of syntax.initializers) {
    if (!entry.tensor) continue;
    const value = scope.own(entry.name) ?? graph.looseValue(entry.name);
    value.type ??= tensorType(entry.tensor.dtype, entry.tensor.shape);
    graph.attachInitializer(annotate(value, entry), entry.tensor);
    scope.define(value);
  }
  const nodes = syntax.nodes.map((entry) => {
    const outputs = entry.outputs.map((output) => output?.name);
    const types = entry.outputs.map((output) => output?.type);
    const node = graph.append(entry.op, { ...entry, inputs: [], attrs: {}, outputs, types });
    annotate(node, entry);
    for (const [index, value] of node.outputs.entries()) {
      if (value) scope.define(annotate(value, entry.outputs[index] ?? {}));
    }
    return node;
  });
  for (const [index, entry] of syntax.nodes.entries()) {
    const node = nodes[index] as Node;
    node.setInputs(entry.inputs.map((input) => input && lookUp(lexer, scope, input)));
    for (const [name, attr] of entry.attrs) node.attrs.set(name, buildAttr(lexer, attr, scope, node));
  }
  for (const entry of syntax.initializers) {
    if (!entry.tensor && entry.type) lookUp(lexer, scope, entry).type = entry.type;
  }
  for (const output of syntax.outputs) {
    const value = lookUp(lexer, scope, output);
    if (output.type) value.type = output.type;
    graph.addOutput(annotate(value, output));
  }
  return graph;
}

function buildAttr(lexer: Lexer, attr: AttrSyntax, scope: Scope | undefined, owner: Node | undefined): Attr {
  if (attr.type !== 'graph-syntax') return attr;
  const graphs = attr.graphs.map((graph) => buildGraph(lexer, graph, scope, owner));
  return attr.list ? { type: 'graphs', value: graphs } : { type: 'graph', value: graphs[0] as Graph };
}

function lookUp(lexer: Lexer, scope: Scope, value: ValueSyntax): Value {
  return scope.find(value.name) ?? lexer.fail(`nothing defines the value "${value.name}"`, value.at);
}

function annotate<T extends { doc: string | undefined; meta: Map<string, string> | undefined }>(
  target: T,
  notes: Notes,
): T {
  if (notes.doc !== undefined) target.doc = notes.doc;
  if (notes.meta) target.meta = new Map(notes.meta);
  return target;
}
