import { miss } from '../../../src/rewrite/match.ts';
import { any, constant, op } from '../../../src/rewrite/pattern.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

const microsoft = (name: string): string => `com.microsoft.${name}`;

/** Gelu(x + c) of a vector c is BiasGelu, FastGelu(x + c) is FastGelu with a bias. */
export function biasGelu(target: FusionTarget): Rule {
  return {
    id: 'bias-gelu',
    summary: 'Gelu or FastGelu after Add of a constant vector takes the vector as its bias',
    ops: ['Gelu', microsoft('Gelu'), microsoft('FastGelu')],
    pattern: op(
      ['Gelu', microsoft('Gelu'), microsoft('FastGelu')],
      [op('Add', [any('x'), constant('c')], { as: 'add', once: true })],
      { as: 'gelu' },
    ),
    quiet: true,
    check(match, { types }) {
      const gelu = match.node('gelu');
      if (gelu.string('approximate') === 'tanh') return miss(gelu, 'it is the approximate Gelu', false);
      const name = gelu.op === 'FastGelu' ? 'FastGelu' : 'BiasGelu';
      const offer = target.offers(name, types.dtypeOf(gelu.output()));
      if (offer !== true) return miss(gelu, offer, false);
      const [x, c] = [match.value('x'), match.value('c')];
      const shape = types.shapeOf(c);
      if (shape?.length !== 1) return miss(gelu, `"${c.name}" is no constant vector`, false);
      const last = types.shapeOf(x)?.at(-1);
      return (
        last === shape[0] ||
        miss(gelu, `the last extent of "${x.name}" (${last ?? 'unknown'}) is not that of "${c.name}" (${shape[0]})`)
      );
    },
    apply(match, edit) {
      const gelu = match.node('gelu');
      const name = gelu.op === 'FastGelu' ? 'FastGelu' : 'BiasGelu';
      edit.importDomain('com.microsoft');
      const fused = edit.insert(name, { domain: 'com.microsoft', inputs: [match.value('x'), match.value('c')] });
      fused.name = gelu.name;
      edit.replace(gelu, fused);
      return undefined;
    },
  };
}
