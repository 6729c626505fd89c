import { realpathSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';

/**
 * Place on disk of a file named in dataset.json.
 * @throws UserError when it does not exist or lies outside the folder (`..`, absolute paths, links that lead out).
 */
export async function placeInside(dir: string, file: string): Promise<string> {
  if (isAbsolute(file) || file.split(/[/\\]/).includes('..')) {
    throw new UserError('dataset-path', `dataset.json names "${file}": files must lie inside ${dir}.`);
  }
  const path = join(dir, file);
  try {
    const [root, real] = [realpathSync(dir), realpathSync(path)];
    const inside = relative(root, real);
    if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
      throw new UserError(
        'dataset-path',
        `"${file}" is a link that leads out of ${dir}: files must lie inside the data folder.`,
      );
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be opened (${code})`;
    throw new UserError('dataset-missing', `dataset.json names "${file}", but in ${dir} ${why}.`, { cause: error });
  }
  return path;
}
