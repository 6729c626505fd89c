// Runs at the end of `npm ci` in a checkout: lets `npx mlpack` find the checkout's own command, as it would in a project
// that depends on mlpack. (npx goes the long way round for the package it stands in, and npm 11 fails on it.)
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const command = join(root, 'dist', 'bin', 'mlpack.js');
const folder = join(root, 'node_modules', '.bin');

// Installed as a dependency there is no node_modules of our own here, and npm has made the link already.
if (existsSync(command) && existsSync(join(root, 'node_modules'))) {
  chmodSync(command, 0o755);
  mkdirSync(folder, { recursive: true });
  if (process.platform === 'win32') {
    writeFileSync(join(folder, 'mlpack.cmd'), '@node "%~dp0\\..\\..\\dist\\bin\\mlpack.js" %*\r\n');
  } else {
    const link = join(folder, 'mlpack');
    rmSync(link, { force: true });
    symlinkSync(join('..', '..', 'dist', 'bin', 'mlpack.js'), link);
  }
}
