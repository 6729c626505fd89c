/** Named ordered lists of steps: the variants that `optimize` builds, usable in `run` too. */
import type { Step } from '../src/pass/pass.ts';
import { fuse } from './fuse/fuse.ts';

const prepare: readonly Step[] = [fuse()];

export const presets: Readonly<Record<string, readonly Step[]>> = {
  fp32: prepare,
};
