import { graph as graphAttr } from '../../../src/ir/attr.ts';
import { Graph, type Model, type Value } from '../../../src/ir/graph.ts';
import { tensorOf } from '../../../src/ir/tensor.ts';
import { tensorType, type ValueType } from '../../../src/ir/types.ts';
import { Draft } from './draft.ts';

/** Layers in branches, in bodies and in both, with captured values; sequences, optionals, and functions of the model itself. */
export function buildControl(seed: number): Model {
  return new Control(seed).build();
}

const width = 8;

class Control extends Draft {
  #x: Value;
  readonly #captured: Value[] = [];
  readonly #functions: Graph[] = [];

  constructor(seed: number) {
    super(seed, 'control');
    this.opset = this.pick([17, 13, 16, 18, 21, 15]);
    this.#x = this.input('x', [this.pick([1, 3, 'N'] as const), width]);
  }

  build(): Model {
    const kinds = [
      () => this.#block(this.#x, this.graph),
      () => this.#branch(this.#x, this.graph, 0),
      () => this.#branch(this.#x, this.graph, 0),
      () => this.#loop(this.#x, this.graph, 0),
      () => this.#loop(this.#x, this.graph, 0),
      () => this.#sequence(),
      () => this.#optional(),
      () => this.#call(),
      () => this.#call(),
    ];
    for (let count = this.int(1, 4); count > 0; count--) {
      this.#captured.push(this.#x);
      this.#x = this.pick(kinds)();
    }
    this.output(this.#typed(this.#x));
    return this.#withFunctions();
  }

  #dense(x: Value, graph: Graph): Value {
    return this.activation(this.linear(x, width, width, graph), graph);
  }
  /** A few layers; what stands outside is read now and then. */
  #block(x: Value, graph: Graph): Value {
    let y = this.#dense(x, graph);
    if (this.chance(0.3)) y = this.op('Softmax', [y], { axis: -1 }, { graph });
    if (this.opset >= 17 && this.chance(0.3)) {
      y = this.op('LayerNormalization', [y, this.weight([width], 0.5, 1)], { axis: -1 }, { graph });
    }
    if (this.#captured.length > 0 && this.chance(0.5)) {
      y = this.op(this.pick(['Add', 'Mul']), [y, this.pick(this.#captured)], {}, { graph });
    }
    return y.producer?.list === graph ? y : this.op('Identity', [y], {}, { graph });
  }
  #inner(x: Value, graph: Graph, depth: number): Value {
    if (depth < 2 && this.chance(0.3)) return this.#branch(x, graph, depth + 1);
    if (depth < 2 && this.chance(0.2)) return this.#loop(x, graph, depth + 1);
    return this.#block(x, graph);
  }
  #condition(x: Value, graph: Graph): Value {
    if (this.chance(0.15)) return this.constant('yes', tensorOf('bool', [], [this.int(0, 1)]));
    const sum = this.reduce('ReduceSum', this.reduce('ReduceSum', x, 1, false, graph), 0, false, graph);
    return this.op('Greater', [sum, this.number(0)], {}, { graph, types: [tensorType('bool', [])] });
  }
  #branch(x: Value, graph: Graph, depth: number): Value {
    const condition = this.#condition(x, graph);
    const branch = (name: string): Graph => {
      const body = new Graph(name);
      body.addOutput(
        this.#typed(this.chance(0.15) ? this.op('Identity', [x], {}, { graph: body }) : this.#inner(x, body, depth)),
      );
      return body;
    };
    const attrs = { then_branch: graphAttr(branch('then')), else_branch: graphAttr(branch('else')) };
    return this.op('If', [condition], attrs, { graph });
  }
  #typed(value: Value): Value {
    value.type ??= tensorType('float32', [this.graph.inputs[0]?.shape?.[0], width]);
    return value;
  }
  #loop(x: Value, graph: Graph, depth: number): Value {
    const body = new Graph('body');
    const at = body.addInput(this.graph.freshName('i'), tensorType('int64', []));
    const going = body.addInput(this.graph.freshName('go'), tensorType('bool', []));
    const h = body.addInput(
      this.graph.freshName('h'),
      tensorType('float32', [this.graph.inputs[0]?.shape?.[0], width]),
    );
    const y = this.#typed(this.#inner(h, body, depth));
    const early = this.chance(0.3)
      ? this.op('Less', [at, this.whole(1)], {}, { graph: body })
      : this.op('Identity', [going], {}, { graph: body });
    early.type = tensorType('bool', []);
    body.addOutput(early);
    body.addOutput(y);
    const scanned = this.chance(0.4);
    if (scanned) body.addOutput(this.#typed(this.op('Tanh', [y], {}, { graph: body })));
    const go = this.chance(0.5) ? this.constant('go', tensorOf('bool', [], [1])) : undefined;
    const inputs = [this.whole(this.int(1, 3)), go, x];
    const outputs = this.ops('Loop', inputs, { body: graphAttr(body) }, { graph, outputs: scanned ? 2 : 1 });
    if (!scanned) return outputs[0] as Value;
    const mean = this.reduce('ReduceMean', outputs[1] as Value, 0, false, graph);
    return this.op('Add', [outputs[0], mean], {}, { graph });
  }

  #sequence(): Value {
    const parts = [this.#dense(this.#x, this.graph), this.#x, this.#dense(this.#x, this.graph)];
    const sequence = this.chance(0.5)
      ? this.op('SequenceConstruct', parts)
      : this.op('SplitToSequence', [this.op('Concat', parts, { axis: 1 }), this.whole(width)], { axis: 1 });
    if (this.chance(0.3)) this.output(this.op('SequenceLength', [sequence]), tensorType('int64', []));
    if (this.chance(0.5)) return this.op('SequenceAt', [sequence, this.whole(this.pick([0, 1, -1]))]);
    if (this.opset >= 17 && this.chance(0.5)) {
      const body = new Graph('each');
      const type: ValueType = tensorType('float32', [this.graph.inputs[0]?.shape?.[0], width]);
      const element = body.addInput(this.graph.freshName('e'), type);
      body.addOutput(this.#typed(this.#dense2(element, body)));
      const mapped = this.op('SequenceMap', [sequence], { body: graphAttr(body) });
      return this.linear(this.op('ConcatFromSequence', [mapped], { axis: 1 }), 3 * width, width);
    }
    return this.linear(this.op('ConcatFromSequence', [sequence], { axis: 1 }), 3 * width, width);
  }
  #dense2(x: Value, graph: Graph): Value {
    return this.op('Tanh', [this.linear(x, width, width, graph)], {}, { graph });
  }
  #optional(): Value {
    if (this.opset < 16) return this.#dense(this.#x, this.graph);
    const full = this.op('Optional', [this.#dense2(this.#x, this.graph)]);
    if (this.opset >= 18 && this.chance(0.3))
      this.output(this.op('OptionalHasElement', [full]), tensorType('bool', []));
    return this.op('OptionalGetElement', [full]);
  }

  /** y = a function of the model's own, called perhaps twice. */
  #call(): Value {
    if (this.#functions.length === 0 || this.chance(0.4)) this.#functions.push(this.#body(this.#functions.length));
    const which = this.int(0, this.#functions.length - 1);
    return this.op(
      `Block${which}`,
      [this.#x, this.spread([width, width], width), this.weight([width], 0.3)],
      {},
      { domain: 'local' },
    );
  }
  #body(index: number): Graph {
    const body = new Graph(`Block${index}`);
    const [x, w, b] = ['fx', 'fw', 'fb'].map((name) => body.addInput(name)) as [Value, Value, Value];
    const product = this.op('MatMul', [x, w], {}, { graph: body });
    const sum = this.op('Add', [product, b], {}, { graph: body });
    let y = this.op(this.pick(['Relu', 'Tanh', 'Sigmoid']), [sum], {}, { graph: body });
    if (index > 0 && this.chance(0.5)) y = this.op('Block0', [y, w, b], {}, { graph: body, domain: 'local' });
    if (this.chance(0.5)) y = this.op('Add', [y, x], {}, { graph: body });
    body.addOutput(y);
    return body;
  }
  #withFunctions(): Model {
    const model = this.model();
    for (const body of this.#functions) {
      const opsets = new Map([
        ['', this.opset],
        ['local', 1],
      ]);
      model.addFunction({
        domain: 'local',
        name: body.name,
        overload: '',
        body,
        attributes: [],
        defaults: new Map(),
        opsets,
      });
    }
    return model;
  }
}
