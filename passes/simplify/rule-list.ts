import type { LocalRule } from './local-rule.ts';
import { idempotent, involution, neutralOperand, whereConstant } from './rules/arithmetic.ts';
import { castChain, castNoop } from './rules/cast.ts';
import { concatChain, concatEmpty } from './rules/concat.ts';
import { expandBroadcast, expandNoop, tileNoop } from './rules/expand-tile.ts';
import { dropout, identity, singleOperand } from './rules/identity.ts';
import { gatherTranspose, reshapeElementwise, transposeAsReshape, transposeReshape } from './rules/layout.ts';
import { padNoop, sliceChain, sliceNoop } from './rules/pad-slice.ts';
import { reshapeChain, reshapeNoop, reshapeTarget } from './rules/reshape.ts';
import { reduceNoop, resizeNoop } from './rules/resize.ts';
import { transposeChain, transposeNoop } from './rules/transpose.ts';

/** Rules about a node and its neighbours, in the order in which they are tried. */
export const localRules: readonly LocalRule[] = [
  identity,
  dropout,
  singleOperand,
  castNoop,
  castChain,
  reshapeNoop,
  reshapeChain,
  reshapeTarget,
  reshapeElementwise,
  transposeNoop,
  transposeChain,
  transposeReshape,
  transposeAsReshape,
  gatherTranspose,
  padNoop,
  sliceNoop,
  sliceChain,
  concatEmpty,
  concatChain,
  expandNoop,
  expandBroadcast,
  tileNoop,
  neutralOperand,
  involution,
  idempotent,
  whereConstant,
  resizeNoop,
  reduceNoop,
];
