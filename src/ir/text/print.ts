import type { Attr } from '../attr.ts';
import type { DType } from '../dtype.ts';
import type { Graph, LocalFunction, Model, Node, Value } from '../graph.ts';
import type { Tensor } from '../tensor.ts';
import { elementTexts, scalarCount } from './elements.ts';
import { isTypeWord, nameText, typeText } from './names.ts';
import { formatFloat, quote } from './scalar.ts';

export interface PrintOptions {
  /** Tensors of more scalars than this are written `{...}`, which does not read back. Default 16; Infinity prints all. */
  readonly elements?: number;
  /** Doc strings and metadata. Default true. */
  readonly notes?: boolean;
  /** Names of nodes. Default true. */
  readonly nodeNames?: boolean;
  /** Types of inner values; those of inputs and outputs always stand. Default true. */
  readonly innerTypes?: boolean;
}

/** What canonical.ts puts in place of names, order and long data. */
export interface PrintHooks {
  readonly nameOf?: (value: Value) => string;
  readonly nodesOf?: (graph: Graph) => Iterable<Node>;
  readonly initializersOf?: (graph: Graph) => Iterable<Value>;
  readonly graphName?: (graph: Graph) => string;
  readonly attrsOf?: (node: Node) => Iterable<[string, Attr]>;
  readonly elided?: (tensor: Tensor) => string;
}

/**
 * The model in ONNX's text syntax (onnx.parser), with these additions: node outputs carry their types, holes are empty
 * places in a list, `doc "…"` and `meta {…}` follow what they describe, and long tensors are elided.
 */
export function printModel(model: Model, options: PrintOptions = {}, hooks: PrintHooks = {}): string {
  const printer = new Printer(options, hooks);
  printer.model(model);
  return printer.text();
}

/** One graph alone; values captured from outside stand under their names. */
export function printGraph(graph: Graph, options: PrintOptions = {}, hooks: PrintHooks = {}): string {
  const printer = new Printer(options, hooks);
  printer.graph(graph, '');
  return printer.text();
}

class Printer {
  readonly #out: string[] = [];
  readonly #options: Required<PrintOptions>;
  readonly #hooks: PrintHooks;

  constructor(options: PrintOptions, hooks: PrintHooks) {
    this.#options = { elements: 16, notes: true, nodeNames: true, innerTypes: true, ...options };
    this.#hooks = hooks;
  }

  text(): string {
    return this.#out.join('');
  }

  model(model: Model): void {
    const header = [`ir_version: ${model.irVersion}`, `opset_import: [${opsetsText(model.opsets)}]`];
    if (this.#options.notes) {
      if (model.producerName) header.push(`producer_name: ${quote(model.producerName)}`);
      if (model.producerVersion) header.push(`producer_version: ${quote(model.producerVersion)}`);
      if (model.domain) header.push(`domain: ${quote(model.domain)}`);
      if (model.modelVersion !== 0n) header.push(`model_version: ${model.modelVersion}`);
      if (model.doc) header.push(`doc_string: ${quote(model.doc)}`);
      if (model.meta.size > 0) header.push(`metadata_props: [${pairsText(model.meta)}]`);
    }
    this.#put(`<${header.join(', ')}>\n`);
    this.graph(model.graph, '');
    this.#put('\n');
    for (const fn of model.functions) this.#function(fn);
  }

  #function(fn: LocalFunction): void {
    const header = [`domain: ${quote(fn.domain)}`, `opset_import: [${opsetsText(fn.opsets)}]`];
    if (fn.overload) header.push(`overload: ${quote(fn.overload)}`);
    if (this.#options.notes) {
      if (fn.doc) header.push(`doc_string: ${quote(fn.doc)}`);
      if (fn.meta?.size) header.push(`metadata_props: [${pairsText(fn.meta)}]`);
    }
    this.#put(`<${header.join(', ')}>\n${nameText(fn.name)} `);
    const parameters = fn.attributes.map(nameText);
    if (parameters.length + fn.defaults.size > 0) {
      this.#put(`<${parameters.join(', ')}`);
      let comma = parameters.length > 0;
      for (const [name, attr] of fn.defaults) {
        if (comma) this.#put(', ');
        this.#attr(name, attr, '');
        comma = true;
      }
      this.#put('> ');
    }
    this.#signature(fn.body);
    this.#body(fn.body, '');
    this.#put('\n');
  }

  graph(graph: Graph, indent: string): void {
    const name = this.#hooks.graphName ? this.#hooks.graphName(graph) : graph.name;
    this.#put(`${nameText(name)} `);
    this.#signature(graph);
    this.#put(this.#notes(graph.doc, graph.meta));
    this.#body(graph, indent);
  }

  #signature(graph: Graph): void {
    const inputs = graph.inputs.map((value) => this.#declaration(value));
    const outputs = graph.outputs.map((value) => this.#declaration(value));
    this.#put(`(${inputs.join(', ')}) => (${outputs.join(', ')})`);
  }

  #body(graph: Graph, indent: string): void {
    const inner = `${indent}  `;
    const initializers = [...(this.#hooks.initializersOf?.(graph) ?? graph.initializers)];
    if (initializers.length > 0) {
      const lines = initializers.map((value) => `${inner}${this.#initializer(value)}`);
      this.#put(`\n${indent}<\n${lines.join(',\n')}\n${indent}>`);
    }
    this.#put(`\n${indent}{\n`);
    for (const node of this.#hooks.nodesOf?.(graph) ?? graph.nodes) {
      this.node(node, inner);
      this.#put('\n');
    }
    this.#put(`${indent}}`);
  }

  #initializer(value: Value): string {
    const tensor = value.initializer;
    if (!tensor) return this.#declaration(value);
    const notes = value.isGraphInput || value.isGraphOutput ? '' : this.#notes(value.doc, value.meta);
    return `${literalType(tensor.dtype, tensor.shape)} ${this.#name(value)}${notes} = ${this.#data(tensor)}`;
  }

  node(node: Node, indent: string): void {
    this.#put(indent);
    if (node.name && this.#options.nodeNames) this.#put(`[${nameText(node.name)}] `);
    const outputs = node.outputs.map((value) => {
      if (!value) return '';
      // The type of a graph output stands in the signature.
      if (value.isGraphOutput || !this.#options.innerTypes) return this.#name(value);
      return this.#declaration(value);
    });
    if (outputs.length > 0) this.#put(`${listText(outputs)} = `);
    this.#put(opText(node));
    const attrs = [...(this.#hooks.attrsOf?.(node) ?? node.attrs)];
    if (attrs.length > 0) {
      this.#put(' <');
      for (const [index, [name, attr]] of attrs.entries()) {
        if (index > 0) this.#put(', ');
        this.#attr(name, attr, indent);
      }
      this.#put('>');
    }
    this.#put(` (${listText(node.inputs.map((value) => (value ? this.#name(value) : '')))})`);
    this.#put(this.#notes(node.doc, node.meta));
  }

  #attr(name: string, attr: Attr, indent: string): void {
    const label = nameText(name);
    switch (attr.type) {
      case 'int':
        return this.#put(`${label} = ${attr.value}`);
      case 'float':
        return this.#put(`${label} = ${formatFloat(attr.value, true)}`);
      case 'string':
        return this.#put(`${label} = ${quote(attr.value)}`);
      case 'ints':
        return this.#list(label, 'ints', attr.value.map(String));
      case 'floats':
        return this.#list(
          label,
          'floats',
          attr.value.map((value) => formatFloat(value, true)),
        );
      case 'strings':
        return this.#list(label, 'strings', attr.value.map(quote));
      case 'tensor':
        return this.#put(`${label} = ${this.#literal(attr.value)}`);
      case 'tensors':
        return this.#list(
          label,
          'tensors',
          attr.value.map((value) => this.#literal(value)),
        );
      case 'ref':
        return this.#put(`${label} = @${nameText(attr.value)}`);
      case 'graph':
        this.#put(`${label} = `);
        return this.graph(attr.value, `${indent}  `);
      case 'graphs':
        this.#put(`${label}: graphs = [`);
        for (const [index, graph] of attr.value.entries()) {
          if (index > 0) this.#put(', ');
          this.graph(graph, `${indent}  `);
        }
        return this.#put(']');
      case 'opaque':
        return this.#put(`${label}: opaque`);
    }
  }

  /** Elements say their type themselves; only an empty list needs it written. */
  #list(label: string, type: string, elements: readonly string[]): void {
    this.#put(elements.length === 0 ? `${label}: ${type} = []` : `${label} = [${elements.join(', ')}]`);
  }

  #literal(tensor: Tensor): string {
    return `${literalType(tensor.dtype, tensor.shape)} ${this.#data(tensor)}`;
  }
  #data(tensor: Tensor): string {
    if (scalarCount(tensor.dtype, tensor.shape) > this.#options.elements)
      return this.#hooks.elided?.(tensor) ?? '{...}';
    return `{${elementTexts(tensor).join(', ')}}`;
  }
  #declaration(value: Value): string {
    const name = `${this.#name(value)}${this.#notes(value.doc, value.meta)}`;
    return value.type ? `${typeText(value.type)} ${name}` : name;
  }
  #notes(doc: string | undefined, meta: ReadonlyMap<string, string> | undefined): string {
    if (!this.#options.notes) return '';
    return `${doc ? ` doc ${quote(doc)}` : ''}${meta?.size ? ` meta {${pairsText(meta)}}` : ''}`;
  }
  #name(value: Value): string {
    return nameText(this.#hooks.nameOf ? this.#hooks.nameOf(value) : value.name);
  }
  #put(text: string): void {
    this.#out.push(text);
  }
}

function literalType(dtype: DType, shape: readonly number[]): string {
  return typeText({ kind: 'tensor', dtype, shape });
}

/** A list in which '' is a hole. One hole alone would read as an empty list. */
function listText(items: readonly string[]): string {
  return items.length === 1 && items[0] === '' ? '""' : items.join(', ');
}

function opText(node: Node): string {
  // A word that begins a type would read as that of an output.
  const isWord = /^[A-Za-z_]\w*$/.test(node.op) && (node.domain !== '' || !isTypeWord(node.op));
  const plain = isWord && /^([A-Za-z_][\w]*(\.\w+)*)?$/.test(node.domain);
  const op = plain ? node.op : quote(node.op);
  const domain = node.domain === '' ? '' : plain ? `${node.domain}.` : `${quote(node.domain)}.`;
  return `${domain}${op}${node.overload ? `:${nameText(node.overload)}` : ''}`;
}

function opsetsText(opsets: ReadonlyMap<string, number>): string {
  return [...opsets].map(([domain, version]) => `${quote(domain)} : ${version}`).join(', ');
}
function pairsText(pairs: ReadonlyMap<string, string>): string {
  return [...pairs].map(([key, value]) => `${quote(key)} : ${quote(value)}`).join(', ');
}
