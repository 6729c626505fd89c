import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { floatsOf } from './floats.ts';

/** The interval that a Relu or Clip limits its input to, with the values that state it, where there are such. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly lowValue?: Value | undefined;
  readonly highValue?: Value | undefined;
}

/** Defaults of Clip-6's attributes: unlike missing inputs from Clip-11 on they do limit infinities. */
const largest = 3.4028234663852886e38;

/** Of a Relu or a Clip; a sentence where the bounds are not known, or are no interval. */
export function boundsOf(node: Node, opset: number): Bounds | string {
  return node.op === 'Relu' ? { low: 0, high: Number.POSITIVE_INFINITY } : clipBounds(node, opset);
}

function clipBounds(node: Node, opset: number): Bounds | string {
  if (opset < 6) return `${node} is of opset ${opset}`;
  if (opset < 11) return interval(node, { low: node.float('min', -largest), high: node.float('max', largest) });
  const [lowValue, highValue] = [node.input(1), node.input(2)];
  const low = lowValue ? scalar(lowValue) : Number.NEGATIVE_INFINITY;
  const high = highValue ? scalar(highValue) : Number.POSITIVE_INFINITY;
  if (low === undefined) return `the minimum "${lowValue?.name}" of ${node} is not a float constant`;
  if (high === undefined) return `the maximum "${highValue?.name}" of ${node} is not a float constant`;
  return interval(node, { low, high, lowValue, highValue });
}

/** The bounds themselves, unless they are no interval (NaN is in none). */
export function interval(node: Node, bounds: Bounds): Bounds | string {
  return bounds.low <= bounds.high ? bounds : `${node} has bounds ${bounds.low} and ${bounds.high}, no interval`;
}

function scalar(value: Value): number | undefined {
  const tensor = constantOf(value);
  const floats = tensor && floatsOf(tensor);
  return floats?.length === 1 ? floats[0] : undefined;
}

/** First `inner`, then `outer`. */
export function compose(inner: Bounds, outer: Bounds): Bounds {
  const clamp = (number: number, own: Value | undefined): [number, Value | undefined] => {
    if (number < outer.low) return [outer.low, outer.lowValue];
    if (number > outer.high) return [outer.high, outer.highValue];
    return [
      number,
      own ?? (number === outer.low ? outer.lowValue : number === outer.high ? outer.highValue : undefined),
    ];
  };
  const [low, lowValue] = clamp(inner.low, inner.lowValue);
  const [high, highValue] = clamp(inner.high, inner.highValue);
  return { low, high, lowValue, highValue };
}
