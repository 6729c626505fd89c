import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A program for a child process: beside the module that starts it, of the same kind (source, module, or part of the built program, whose
 * entries stand beside its rooms).
 */
export function programBeside(moduleUrl: string, name: string): string {
  const here = fileURLToPath(moduleUrl);
  return join(dirname(here), `${name}${extname(here)}`);
}
