import { dynamicJobs } from './dynamic.mjs';
import { halfJobs } from './half.mjs';
import { staticJobs } from './static.mjs';
import { weightJobs } from './weights.mjs';

/** By the name that --part takes. */
export const parts = { static: staticJobs, dynamic: dynamicJobs, weights: weightJobs, half: halfJobs };
