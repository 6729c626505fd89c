import type { Attr } from './attr.ts';
import type { Graph } from './graph.ts';
import { graphsBelow } from './walk.ts';

/** A function of the model itself (FunctionProto): inputs by position, attributes by name. */
export interface LocalFunction {
  readonly domain: string;
  readonly name: string;
  readonly overload: string;
  readonly body: Graph;
  /** Attribute names without a default. */
  readonly attributes: readonly string[];
  readonly defaults: ReadonlyMap<string, Attr>;
  readonly opsets: Map<string, number>;
  readonly doc?: string;
  readonly meta?: ReadonlyMap<string, string>;
  readonly origin?: unknown;
}

export class Model {
  irVersion: number;
  /** Opset version of each domain; '' is ai.onnx. */
  readonly opsets: Map<string, number>;
  readonly graph: Graph;
  readonly functions: LocalFunction[] = [];
  producerName = '';
  producerVersion = '';
  domain = '';
  modelVersion = 0n;
  doc: string | undefined;
  readonly meta = new Map<string, string>();
  /** The codec's own: unknown fields, training info, the bytes it was read from. */
  origin: unknown;

  constructor(graph: Graph, opsets: ReadonlyMap<string, number> | number, irVersion = 8) {
    this.graph = graph;
    this.irVersion = irVersion;
    this.opsets = typeof opsets === 'number' ? new Map([['', opsets]]) : new Map(opsets);
    graph.ownerModel = this;
  }
  /** Opset of the default domain; 1 when the model names none. */
  get opset(): number {
    return this.opsets.get('') ?? 1;
  }
  addFunction(fn: LocalFunction): void {
    fn.body.ownerModel = this;
    this.functions.push(fn);
  }
  /** Main graph, function bodies, and every subgraph in them, outer before inner. */
  *graphs(): Generator<Graph> {
    yield* graphsBelow(this.graph);
    for (const fn of this.functions) yield* graphsBelow(fn.body);
  }
}
