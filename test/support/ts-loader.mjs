/**
 * Lets child processes of the tests run the sources as they are, on Node versions that cannot strip types themselves. Vitest's own workers hand
 * it on to them and have no need of it: there every import would go through the hooks, half a second for each test file.
 */
import { register } from 'node:module';

const isVitest = /[\\/]node_modules[\\/]vitest[\\/]/.test(process.argv[1] ?? '');
if (!process.features.typescript && !isVitest) register('./ts-hooks.mjs', import.meta.url);
