/**
 * What the quantization benchmark is made of. To add to it: a file here that exports a list of jobs, and a line in parts.mjs. The runner
 * does the rest for every model: makes our files with the command line and the rivals' with Python (each in a process of its own, wall
 * time and memory of which are taken, imports included), judges all by the task metric of the data (without labels: by decibels against
 * the float model), takes the best of each side, and times float, ours and theirs interleaved in one process.
 *
 * A rival is a Python script in rivals/, started as `python script model.onnx out.onnx feeds/ key=value …`; feeds/ holds the calibration
 * samples as <number>/<input>.npy, the same that our side sees. Whatever it raises is shown as its result.
 *
 * @typedef {object} Ours
 * @property {string} name
 * @property {readonly string[]} steps of `mlpack run`: ['simplify', 'fuse', 'quantize-static:calibrate=mse']
 * @property {boolean} [data] gives the calibration data with --data
 *
 * @typedef {object} Theirs
 * @property {string} name
 * @property {string} script file in rivals/
 * @property {Readonly<Record<string, string | number>>} [options]
 *
 * @typedef {object} Job
 * @property {string} format shown in the table: 'int8 static'
 * @property {(subject: import('./subjects.mjs').Subject) => string | undefined} [skip] why the job makes no sense for a model
 * @property {readonly Ours[]} ours
 * @property {readonly Theirs[]} theirs
 * @property {Readonly<Record<string, string>>} [session] config entries to time with
 *
 * @typedef {object} Side one file, judged
 * @property {string} name
 * @property {string} [failed] a sentence; the rest is absent then
 * @property {number} [value] the metric
 * @property {number} [sqnrDb] against the float model
 * @property {number} [bytes]
 * @property {number} [ratio] median latency / that of the float model, interleaved
 * @property {number} [wallMs] of the whole process
 * @property {number} [rssBytes] its peak
 *
 * @typedef {object} Row
 * @property {string} model
 * @property {string} format
 * @property {string} metric
 * @property {number} base the float model's value
 * @property {number} baseBytes
 * @property {Side} [ours] the best of ours
 * @property {Side} [theirs] the best of theirs
 * @property {readonly Side[]} all every candidate
 */

/** Types a list of jobs. @param {readonly Job[]} list */
export const jobs = (list) => list;

/** What every variant of `optimize` begins with. */
export const prepare = ['simplify', 'fuse'];
