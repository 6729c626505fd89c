import type { Value } from '../../../src/ir/graph.ts';
import type { Entry, Handler } from '../converter.ts';
import { quantOf, sameQuant } from '../quant.ts';

export const quantizeLinear: Handler = (node, c) => {
  const quant = quantOf(c, node);
  if (!quant) c.fail(node, 'activations are quantized by one constant scale to 8 bits here, and this one is not');
  const entry = c.entry(node.input(0) as Value);
  if (entry.stored && sameQuant(entry.stored.quant, quant)) return c.set(node.output(), entry.stored);
  const source = entry.stored ?? entry;
  const layout = c.preferred(source);
  const from = c.get(source, layout);
  const made = c.op('QUANTIZE', [from], { name: node.output().name, shape: c.of(from).shape, type: c.storage, quant });
  c.put(node.output(), layout, made);
};

/** The real form of an 8-bit value: made when somebody asks for it. */
export const dequantizeLinear: Handler = (node, c) => {
  const quant = quantOf(c, node);
  if (!quant) c.fail(node, 'activations are quantized by one constant scale to 8 bits here, and this one is not');
  const q = c.entry(node.input(0) as Value);
  const stored: Entry = { ...q, quant: q.quant ?? quant };
  c.set(node.output(), { name: node.output().name, shape: q.shape, type: 'float32', forms: new Map(), stored });
};
