import { rm } from 'node:fs/promises';
import { UserError } from '../../errors.ts';
import type { Talk } from '../talk.ts';

/**
 * Makes the bundle of one target. Where that cannot be done (a converter meets what it cannot say, npm is not there), it is said and the folder is
 * removed: all that was measured before, and the other bundles, are not thrown away for it.
 * @returns undefined where there is no bundle. @throws what is no UserError, as it comes
 */
export async function madeBundle<T>(
  build: () => Promise<T>,
  { target, variant, dir }: { readonly target: string; readonly variant: string; readonly dir: string },
  talk: Pick<Talk, 'warn'>,
): Promise<T | undefined> {
  try {
    return await build();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    await rm(dir, { recursive: true, force: true });
    talk.warn(`no bundle for ${target}: it cannot be made of ${variant}. ${error.message}`);
    return undefined;
  }
}
