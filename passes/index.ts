/** The registry: every pass there is. A new pass is one file and one line here. */
import type { Pass } from '../src/pass/pass.ts';
import { fuse } from './fuse/fuse.ts';

export const passes: readonly Pass[] = [fuse as unknown as Pass];
