import { rename } from 'node:fs/promises';

/**
 * Puts the folder `made` in the place of `target`, which lies at `aside` afterwards; all on one file system.
 * @throws the system's error; `target` is as it was then
 */
export async function swapFolder(made: string, target: string, aside: string): Promise<void> {
  await rename(target, aside);
  try {
    await rename(made, target);
  } catch (error) {
    await rename(aside, target);
    throw error;
  }
}
