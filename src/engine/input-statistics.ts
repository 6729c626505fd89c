import { constantOf } from '../ir/constant.ts';
import type { Node, Value } from '../ir/graph.ts';
import { toNumbers } from '../ir/tensor.ts';

/** y = x + by, or y = x · by, the constant broadcast to the input. */
interface Step {
  readonly op: 'add' | 'multiply';
  readonly by: readonly number[];
  readonly shape: readonly number[];
}

/** A graph standardizes its input within a few nodes, if at all. */
const mostSteps = 4;

/**
 * Turns standard normal numbers into what a float input must look like for the graph's own first steps (x − mean) / deviation, or a
 * BatchNormalization, to make standard normal numbers of it again. Inputs that nothing of the kind is done to stay as they are.
 * @param values of the input, row-major; changed in place
 */
export function unstandardize(values: Float64Array, input: Value, shape: readonly number[]): void {
  for (const { op, by, shape: own } of stepsBehind(input, shape.length).reverse()) {
    const at = broadcastIndex(shape, own);
    for (let i = 0; i < values.length; i++) {
      const constant = by[at(i)] as number;
      values[i] = op === 'add' ? (values[i] as number) - constant : (values[i] as number) / constant;
    }
  }
}

function stepsBehind(input: Value, rank: number): Step[] {
  const steps: Step[] = [];
  for (let value: Value | undefined = input; value && steps.length < mostSteps; ) {
    const node: Node | undefined = value.consumers[0];
    if (!node || value.useCount !== 1 || value.isGraphOutput || node.list !== input.graph) break;
    const found = node.is('BatchNormalization') ? batchNorm(node, value, rank) : arithmetic(node, value, rank);
    const usable = ({ op, by }: Step): boolean => by.every((x) => Number.isFinite(x) && (op === 'add' || x !== 0));
    if (!found?.every(usable)) break;
    steps.push(...found);
    value = node.is('BatchNormalization') ? undefined : node.outputs[0];
  }
  return steps;
}

function arithmetic(node: Node, value: Value, rank: number): Step[] | undefined {
  const first = node.input(0) === value;
  const tensor = constantOf(node.input(first ? 1 : 0));
  const numbers = tensor && toNumbers(tensor)?.map(Number);
  if (!tensor || !numbers || tensor.shape.length > rank) return undefined;
  const step = (op: Step['op'], by: number[]): Step => ({ op, by, shape: tensor.shape });
  if (node.is('Add')) return [step('add', numbers)];
  if (node.is('Mul')) return [step('multiply', numbers)];
  if (node.is('Sub') && first)
    return [
      step(
        'add',
        numbers.map((x) => -x),
      ),
    ];
  if (node.is('Div') && first)
    return [
      step(
        'multiply',
        numbers.map((x) => 1 / x),
      ),
    ];
  return undefined;
}

/** Only what it takes off: gain and bias say nothing about the input. */
function batchNorm(node: Node, value: Value, rank: number): Step[] | undefined {
  const [mean, variance] = [constantOf(node.input(3)), constantOf(node.input(4))];
  const means = mean && toNumbers(mean)?.map(Number);
  const variances = variance && toNumbers(variance)?.map(Number);
  if (!means || !variances || node.input(0) !== value) return undefined;
  const shape = [means.length, ...Array.from({ length: Math.max(0, rank - 2) }, () => 1)];
  const epsilon = node.float('epsilon', 1e-5);
  return [
    { op: 'add', by: means.map((x) => -x), shape },
    { op: 'multiply', by: variances.map((x) => 1 / Math.sqrt(x + epsilon)), shape },
  ];
}

/** Where an element of a tensor of `shape` finds its number in one of the shape `own`. */
function broadcastIndex(shape: readonly number[], own: readonly number[]): (flat: number) => number {
  const lead = shape.length - own.length;
  return (flat) => {
    let index = 0;
    let rest = flat;
    let pitch = 1;
    for (let axis = shape.length - 1; axis >= lead; axis--) {
      const extent = shape[axis] as number;
      const has = own[axis - lead] as number;
      if (has > 1) index += (rest % extent) * pitch;
      rest = Math.floor(rest / extent);
      pitch *= has;
    }
    return index;
  };
}
