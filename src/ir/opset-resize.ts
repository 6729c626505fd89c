import { constantNumbers } from './constant.ts';
import type { Node, Value } from './graph.ts';
import { type Tensor, tensorFrom } from './tensor.ts';

interface Raising {
  readonly from: number;
  /** Only ask. */
  readonly check: boolean;
  /** A new constant input before the node. */
  readonly constant: (name: string, tensor: Tensor) => Value;
}

/**
 * Upsample, and Resize of opset 10, as Resize of opset 11. Both look at an output position divided by the factor; what is nearest, ONNX Runtime
 * takes the element before where an axis grows and the one behind where it shrinks (tried on 1.30, see resizeRules), and the new operator has one
 * such rule for all axes.
 * @returns why it cannot be raised
 */
export function raiseResize(node: Node, { from, check, constant }: Raising): string | undefined {
  if (from >= 11) return undefined;
  const listed = node.attr('scales');
  const given = listed?.type === 'floats' ? listed.value : undefined;
  if (!given && !node.input(1)) return 'it has no scales';
  const factors = given ?? constantNumbers(node.input(1));
  const mode = node.string('mode') ?? 'nearest';
  if (mode !== 'nearest' && mode !== 'linear') return `its mode is "${mode}"`;
  const shrinks = factors?.some((factor) => factor < 1) ?? false;
  if (mode === 'nearest') {
    if (!factors && node.op === 'Resize')
      return 'its scales are not constant, and what is nearest depends on whether it grows or shrinks';
    if (shrinks && factors?.some((factor) => factor > 1)) return 'it grows along one axis and shrinks along another';
  }
  if (check) return undefined;
  const scales = given
    ? constant('scales', tensorFrom('float32', [given.length], Float32Array.from(given)))
    : (node.input(1) as Value);
  node.op = 'Resize';
  node.removeAttr('scales');
  node.setAttr('mode', mode);
  node.setAttr('coordinate_transformation_mode', 'asymmetric');
  if (mode === 'nearest') node.setAttr('nearest_mode', shrinks ? 'ceil' : 'floor');
  node.setInputs([node.input(0), constant('roi', tensorFrom('float32', [0], new Float32Array())), scales]);
  return undefined;
}
