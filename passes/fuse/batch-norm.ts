import type { Match } from '../../src/rewrite/match.ts';
import { type Answer, constant, type InputPattern, type OpPattern, op } from '../../src/rewrite/pattern.ts';
import type { Site } from '../../src/rewrite/rule.ts';
import { floatsOf } from './floats.ts';

/** A BatchNormalization in inference form over `input`, bound as `bn`, its parameters as scale, shift, mean, variance. */
export function batchNorm(input: InputPattern, once = false): OpPattern {
  return op(
    'BatchNormalization',
    [input, constant('scale'), constant('shift'), constant('mean'), constant('variance')],
    {
      as: 'bn',
      once,
    },
  );
}

/**
 * Inference mode: BatchNormalization-14 says so by attribute, -7 and -9 by having one output; `spatial` = 0 (up to -8)
 * normalizes every activation for itself, which in a matrix is a channel. Before -7 it trains unless `is_test` is set, and no current runtime knows it.
 */
export function infers(match: Match, site: Site): Answer {
  const node = match.node('bn');
  if (site.opset < 7) return `${node} is of opset ${site.opset}, before inference mode had a form of its own`;
  if (node.int('training_mode', 0) !== 0) return `${node} is in training mode`;
  if (node.outputs.length > 1) return `${node} has training outputs`;
  const byChannel = node.int('spatial', 1) !== 0 || site.types.shapeOf(node.input(0))?.length === 2;
  return byChannel || `${node} normalizes each activation for itself (spatial = 0)`;
}

/** y = scale · x + shift for each channel, in double precision; a sentence where a channel's factor is not finite. */
export function batchNormAffine(match: Match): { scale: Float64Array; shift: Float64Array } | string {
  const node = match.node('bn');
  const read = (name: string) => floatsOf(match.tensor(name));
  const [gamma, beta, mean, variance] = [read('scale'), read('shift'), read('mean'), read('variance')];
  if (!gamma || !beta || !mean || !variance) return `a parameter of ${node} is of type ${match.tensor('scale').dtype}`;
  const channels = gamma.length;
  if ([beta, mean, variance].some((values) => values.length !== channels)) {
    return `the parameters of ${node} differ in length`;
  }
  const epsilon = node.float('epsilon', 1e-5);
  const scale = new Float64Array(channels);
  const shift = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    const factor = (gamma[c] as number) / Math.sqrt((variance[c] as number) + epsilon);
    scale[c] = factor;
    shift[c] = (beta[c] as number) - (mean[c] as number) * factor;
    if (!Number.isFinite(factor))
      return `${node} has variance ${variance[c]} in channel ${c}: its factor is not finite`;
    if (!Number.isFinite(shift[c])) return `${node} has a shift that is not finite in channel ${c}`;
  }
  return { scale, shift };
}
