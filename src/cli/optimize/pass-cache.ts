import { constants } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheKey } from '../../cache/key.ts';
import { cacheFolder } from '../../cache/place.ts';
import { CacheStore } from '../../cache/store.ts';
import { makeFolder } from '../../make-folder.ts';
import type { Step } from '../../pass/pass.ts';
import type { Session } from '../command.ts';
import type { Built } from './built.ts';
import type { Identity } from './identity.ts';

/** A variant as the cache keeps it: the facts, and the files beside them. */
type Kept = Omit<Built, 'name' | 'path' | 'blockers'> & {
  /** The steps that changed something: two variants with the same ones are the same file. */
  readonly effect: string;
};

/** Finished variants by everything that their bytes depend on. */
export interface PassCache {
  /** A kept variant, its files put into `folder`; undefined: build it. */
  take(steps: readonly Step[], folder: string): Promise<Kept | undefined>;
  keep(steps: readonly Step[], kept: Kept, folder: string): Promise<void>;
}

/** Older variants go when the cache is larger than this. */
const maxBytes = 4e9;

/** The user's cache, for this model, data, tool and machine. */
export function openPassCache(identity: Identity, { io, talk }: Session): PassCache {
  const store = new CacheStore({
    dir: join(cacheFolder(io.env), 'variants'),
    maxBytes,
    onProblem: (sentence) => talk.warn(sentence),
  });
  const keyOf = (steps: readonly Step[]): string =>
    cacheKey({ schema: 'mlpack.variant/1', identity, steps: stepsOf(steps) });
  return {
    async take(steps, folder) {
      const hit = await store.get(keyOf(steps));
      if (!hit) return undefined;
      const kept = hit.meta as Kept;
      try {
        await makeFolder(folder);
        for (const { name } of kept.files) await copy(join(hit.folder, name), join(folder, name));
        return kept;
      } catch (error) {
        // Another process trims the cache, or puts the same entry anew: what was found whole may be gone now.
        await rm(folder, { recursive: true, force: true });
        talk.warn(`a kept variant could not be taken from the cache, and is built again: ${(error as Error).message}`);
        return undefined;
      }
    },
    async keep(steps, kept, folder) {
      await store.put(keyOf(steps), kept, async (into) => {
        for (const { name } of kept.files) await copy(join(folder, name), join(into, name));
      });
    },
  };
}

/** Steps as data: what a key and a lock say of them. */
export const stepsOf = (steps: readonly Step[]): { pass: string; options: Readonly<Record<string, unknown>> }[] =>
  steps.map(({ pass, options }) => ({ pass: pass.id, options }));

/** Shares the blocks on disk where the file system can. */
async function copy(from: string, to: string): Promise<void> {
  await makeFolder(dirname(to));
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}
