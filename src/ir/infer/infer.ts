import type { Attr } from '../attr.ts';
import { namedDim, normalizeDim, symbolsOf } from '../dim.ts';
import type { Graph, LocalFunction, Model, Node, Value } from '../graph.ts';
import { type Dim, type Shape, tensorType, type ValueType } from '../types.ts';
import { type Knowledge, NodeContext } from './context.ts';
import { constantData, type Data } from './data.ts';
import { findRule } from './table.ts';

export interface InferOptions {
  /** Writes what was found to `value.type`. Default true. */
  readonly write?: boolean;
  /** Types of inputs of the main graph in place of the declared ones, by name. */
  readonly inputs?: ReadonlyMap<string, ValueType>;
}

/** What inference found, also where the declared type of a graph output was left as it stands. */
export interface Inferred {
  readonly types: ReadonlyMap<Value, ValueType>;
  /** Known elements of small tensors. */
  readonly data: ReadonlyMap<Value, Data>;
  /** Ops without a rule, `domain.Op`, with the number of their nodes. */
  readonly unknownOps: ReadonlyMap<string, number>;
}

/**
 * Infers element types and shapes with symbolic dimensions, main graph, subgraphs and calls of local functions, in one
 * walk. What the model declares is a hint: it fills what does not follow from the inputs, and yields where it
 * contradicts. Ops without a rule keep what is declared. Dimensions that nothing says anything about get names of
 * their own (`unknown_0`, …), so that equal ones are seen to be equal; the names are the same every time.
 *
 * Writes `type` of inner values, and of graph outputs only where those have no shape: the signature stays. Reads no
 * tensor of more than 1024 elements. The graph must be in topological order.
 */
export function inferShapes(model: Model, options: InferOptions = {}): Inferred {
  const write = options.write ?? true;
  const engine = new Engine(model);
  const frame = new Frame(engine, model.opsets, undefined);
  const inputs = model.graph.inputs.map((value) => options.inputs?.get(value.name));
  frame.inferGraph(model.graph, inputs);
  if (write) for (const [value, type] of frame.types) writeType(value, type, model.graph);
  return { types: frame.types, data: frame.data, unknownOps: engine.unknownOps };
}

function writeType(value: Value, type: ValueType, main: Graph): void {
  const { type: declared } = value;
  if (value.isGraphInput || value.initializer) {
    if (!declared) value.type = type;
    return;
  }
  if (value.isGraphOutput && value.graph === main && declared) {
    const open = declared.kind === 'tensor' && !declared.shape;
    if (open && type.kind === 'tensor' && type.shape) value.type = tensorType(declared.dtype, type.shape);
    return;
  }
  if (!sameType(declared, type)) value.type = type;
}

/** Identical, so that values nothing new is known about keep their very type object. */
function sameType(a: ValueType | undefined, b: ValueType): boolean {
  if (a === b) return true;
  if (a?.kind !== 'tensor' || b.kind !== 'tensor' || a.dtype !== b.dtype) return false;
  if (!a.shape || !b.shape) return a.shape === b.shape;
  return a.shape.length === b.shape.length && a.shape.every((dim, axis) => dim === b.shape?.[axis]);
}

const ownName = /^unknown_(\d+)$/;
/** Calls within calls: more is a cycle, or nothing a person wrote. */
const maxCallDepth = 64;
const maxCallNodes = 2_000_000;

/** What all frames of one inference share. */
class Engine {
  readonly functions = new Map<string, LocalFunction>();
  readonly unknownOps = new Map<string, number>();
  /** Symbols of the main graph's inputs: the only declared ones that are taken at their word elsewhere. */
  readonly inputSymbols = new Set<string>();
  namesMade = 0;
  callDepth = 0;
  callNodes = 0;

  constructor(model: Model) {
    for (const fn of model.functions) this.functions.set(`${fn.domain}.${fn.name}:${fn.overload}`, fn);
    for (const { type } of model.graph.inputs) {
      const shape = type?.kind === 'tensor' ? type.shape : undefined;
      for (const dim of shape ?? []) for (const symbol of symbolsOf(declaredDim(dim))) this.inputSymbols.add(symbol);
    }
    for (const symbol of this.inputSymbols) {
      const number = ownName.exec(symbol)?.[1];
      if (number !== undefined) this.namesMade = Math.max(this.namesMade, Number(number) + 1);
    }
  }
  freshName(): string {
    return `unknown_${this.namesMade++}`;
  }
  /** Declared dimensions: normalized; symbols that no input has are only a wish (exporters reuse names). */
  trusted(dim: Dim): Dim {
    if (typeof dim === 'number') return dim >= 0 ? dim : undefined;
    if (dim === undefined) return undefined;
    for (const symbol of symbolsOf(dim)) if (!this.inputSymbols.has(symbol)) return undefined;
    return declaredDim(dim);
  }
}

/** Knowledge about the values of one graph nest: the main graph with its subgraphs, or one call of a function. */
class Frame implements Knowledge {
  readonly types = new Map<Value, ValueType>();
  readonly data = new Map<Value, Data>();
  readonly #engine: Engine;
  readonly #opsets: ReadonlyMap<string, number>;
  readonly #attrs: ReadonlyMap<string, Attr> | undefined;

  constructor(engine: Engine, opsets: ReadonlyMap<string, number>, attrs: ReadonlyMap<string, Attr> | undefined) {
    this.#engine = engine;
    this.#opsets = opsets;
    this.#attrs = attrs;
  }

  typeOf(value: Value): ValueType | undefined {
    const known = this.types.get(value);
    if (known) return known;
    const { initializer } = value;
    return initializer ? tensorType(initializer.dtype, initializer.shape) : undefined;
  }
  dataOf(value: Value): Data | undefined {
    const known = this.data.get(value);
    if (known) return known;
    if (!value.initializer) return undefined;
    const data = constantData(value);
    if (data) this.data.set(value, data);
    return data;
  }
  attrOf(node: Node, name: string): Attr | undefined {
    const attr = node.attrs.get(name);
    return attr?.type === 'ref' ? this.#attrs?.get(attr.value) : attr;
  }
  get namesMade(): number {
    return this.#engine.namesMade;
  }
  forgetNames(shape: Shape, mark: number): Shape {
    const isNew = (symbol: string): boolean => Number(ownName.exec(symbol)?.[1] ?? -1) >= mark;
    return shape.map((dim) => ([...symbolsOf(dim)].some(isNew) ? undefined : dim));
  }

  inferGraph(graph: Graph, inputs: readonly (ValueType | undefined)[], data: readonly (Data | undefined)[] = []): void {
    for (const [index, value] of graph.inputs.entries()) {
      const given = inputs[index];
      const declared = value.type ?? (value.initializer && this.typeOf(value));
      this.#note(value, given ? this.#merge(given, declared) : this.#declaredInput(declared, graph), data[index]);
    }
    for (const node of graph.nodes) this.#inferNode(node);
  }

  #inferNode(node: Node): void {
    const engine = this.#engine;
    const ctx = new NodeContext(node, this.#opsets.get(node.domain) ?? 1, this);
    const fn = engine.functions.get(`${node.domain}.${node.op}:${node.overload}`);
    const rule = fn ? undefined : findRule(node.domain, node.op);
    if (fn) this.#call(ctx, fn);
    else if (rule) rule(ctx);
    else {
      const name = node.domain ? `${node.domain}.${node.op}` : node.op;
      engine.unknownOps.set(name, (engine.unknownOps.get(name) ?? 0) + 1);
      for (const graph of node.subgraphs) this.inferGraph(graph, []);
    }
    for (const [index, value] of node.outputs.entries()) {
      if (value) this.#note(value, this.#merge(ctx.types[index], value.type), ctx.outputData[index]);
    }
  }

  /** Through the body of a local function, with the types and attributes of this call. */
  #call(ctx: NodeContext, fn: LocalFunction): void {
    const engine = this.#engine;
    engine.callNodes += fn.body.nodeCount;
    if (engine.callDepth >= maxCallDepth || engine.callNodes > maxCallNodes) return;
    const attrs = new Map(fn.defaults);
    for (const name of ctx.node.attrs.keys()) {
      const attr = this.attrOf(ctx.node, name);
      if (attr) attrs.set(name, attr);
    }
    const callee = new Frame(engine, fn.opsets, attrs);
    engine.callDepth++;
    const inputs = ctx.node.inputs;
    callee.inferGraph(
      fn.body,
      inputs.map((value) => value && this.typeOf(value)),
      inputs.map((value) => value && this.dataOf(value)),
    );
    engine.callDepth--;
    for (const [index, value] of fn.body.outputs.entries()) {
      ctx.setType(index, callee.typeOf(value));
      ctx.setData(index, callee.dataOf(value));
    }
  }

  #note(value: Value, type: ValueType | undefined, data: Data | undefined): void {
    if (type) this.types.set(value, type);
    else this.types.delete(value);
    const items = data ?? (value.producer?.is('Constant') ? constantData(value) : undefined);
    if (items) this.data.set(value, items);
    else this.data.delete(value);
  }

  /** Main inputs are the truth; inputs of subgraphs that no rule speaks for are declared like any value. */
  #declaredInput(declared: ValueType | undefined, graph: Graph): ValueType | undefined {
    if (graph.ownerNode || declared?.kind !== 'tensor' || !declared.shape) return this.#merge(undefined, declared);
    return tensorType(declared.dtype, this.#named(declared.shape.map((dim) => declaredDim(dim))));
  }

  #merge(inferred: ValueType | undefined, declared: ValueType | undefined): ValueType | undefined {
    if (!inferred) {
      if (declared?.kind !== 'tensor' || !declared.shape) return declared;
      return tensorType(declared.dtype, this.#named(declared.shape.map((dim) => this.#engine.trusted(dim))));
    }
    if (inferred.kind !== 'tensor') return inferred;
    const hint = declared?.kind === 'tensor' ? declared.shape : undefined;
    const shape = inferred.shape?.map(possible) ?? hint?.map((dim) => this.#engine.trusted(dim));
    if (!shape) return inferred;
    const fitting = hint?.length === shape.length ? hint : undefined;
    return tensorType(
      inferred.dtype,
      this.#named(shape.map((dim, axis) => dim ?? this.#engine.trusted(fitting?.[axis]))),
    );
  }

  #named(shape: Shape): Shape {
    return shape.map((dim) => dim ?? this.#engine.freshName());
  }
}

/**
 * Some exporters write -1, an empty name or such a word for an unknown dimension. A name that reads as a number is a name: runtimes take
 * any extent there.
 */
function declaredDim(dim: Dim): Dim {
  if (typeof dim === 'number') return dim >= 0 ? dim : undefined;
  const named = namedDim(dim);
  if (named === undefined) return undefined;
  const normal = normalizeDim(named);
  return typeof normal === 'number' ? undefined : normal;
}

/** A model that contradicts itself can lead to numbers that are no extents: then nothing is known. */
function possible(dim: Dim): Dim {
  return typeof dim === 'number' && !(Number.isSafeInteger(dim) && dim >= 0) ? undefined : dim;
}
