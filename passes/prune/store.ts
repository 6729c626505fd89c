import { tensor as tensorAttr } from '../../src/ir/attr.ts';
import type { Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';

/** Puts other data in the place of a constant's: of an initializer, or of a Constant node. */
export function putConstant(value: Value, tensor: Tensor): void {
  const { producer } = value;
  if (producer) {
    // It may have said its numbers as value_floats.
    for (const name of [...producer.attrs.keys()]) producer.removeAttr(name);
    producer.setAttr('value', tensorAttr(tensor));
  } else value.graph.setInitializer(value, tensor);
}

/** `512 of 1024 are zero (50.0 %)` */
export const shareOf = (zeros: number, total: number): string =>
  `${zeros} of ${total} are zero (${((100 * zeros) / total).toFixed(1)} %)`;
