/** The function as Google's own framework serves it, on this machine: `node local.mjs`, on PORT (8080). */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

process.env.FUNCTION_TARGET = 'model';
process.chdir(dirname(fileURLToPath(import.meta.url)));
// The framework's program is not among what the package exports.
const framework = dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework'));
await import(pathToFileURL(join(framework, 'main.js')).href);
