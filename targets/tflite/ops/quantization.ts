import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Converter, Entry, Handler } from '../converter.ts';
import type { Quant } from '../graph.ts';
import { quantOf, sameQuant } from '../quant.ts';

export const quantizeLinear: Handler = (node, c) => {
  const quant = quantOf(c, node);
  if (!quant)
    return c.fail(node, 'activations are quantized by one constant scale to 8 bits here, and this one is not');
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
  if (!quant)
    return c.fail(node, 'activations are quantized by one constant scale to 8 bits here, and this one is not');
  const q = c.entry(node.input(0) as Value);
  const stored = q.quant ? q : given(c, node, q, quant);
  c.set(node.output(), { name: node.output().name, shape: q.shape, type: 'float32', forms: new Map(), stored });
};

/** Plain 8 bits, of an input mostly: now they have a scale, and come in the type that all others have. */
function given(c: Converter, node: Node, q: Entry, quant: Quant): Entry {
  const layout = c.preferred(q);
  const from = c.get(q, layout);
  const { shape, type } = c.of(from);
  const shift = type === c.storage ? 0 : type === 'uint8' ? 128 : -128;
  const own = { ...quant, zero: quant.zero.map((zero) => zero + shift) };
  const known = c.of(from).quant;
  if (known && !sameQuant(known, own)) c.fail(node, 'the same integers are read by two scales');
  c.lite.scale(from, own);
  if (shift === 0) return { ...q, quant };
  const made = c.op('QUANTIZE', [from], { name: node.output().name, shape, type: c.storage, quant });
  return { ...q, type: c.storage, quant, moved: undefined, forms: new Map([[layout, made]]) };
}
