/** Lets child processes of the tests run the sources as they are, on Node versions that cannot strip types themselves. */
import { register } from 'node:module';

if (!process.features.typescript) register('./ts-hooks.mjs', import.meta.url);
