// Quantization side by side with ONNX Runtime's Python tools: same model, same data, same metric, latencies interleaved in one
// process. Without an interpreter only our column is filled, and the table says so.
//
//   npm run bench:quantization -- [--python /path/to/python] [--part static,weights] [--models dir …] [--json] [--seconds 1]
//     [--keep rows.json]   rows are added to this file as they come, and those it holds already are not measured again: a long run in parts
//     [--page]             writes the table of --keep's rows into docs/quantization.md
//
// The interpreter (or MLPACK_BENCH_PYTHON) needs onnx, onnxruntime and onnxscript. A folder given with --models holds model.onnx and, for
// a task metric, dataset.json. A part is a file in quantization/: job.mjs says how to write one.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import '../support/ts-loader.mjs';
import { parts } from './quantization/parts.mjs';
import { runJobs } from './quantization/run.mjs';
import { openSubjects } from './quantization/subjects.mjs';
import { tableOf, writePage } from './quantization/table.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string', default: process.env.MLPACK_BENCH_PYTHON },
    part: { type: 'string' },
    models: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    keep: { type: 'string' },
    page: { type: 'boolean', default: false },
  },
});
const names = flags.part?.split(',') ?? Object.keys(parts);
const unknown = names.find((name) => parts[name] === undefined);
if (unknown) {
  process.stderr.write(`there is no part "${unknown}"; there are ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
if (!flags.python)
  process.stderr.write('no Python interpreter named (--python or MLPACK_BENCH_PYTHON): the rivals\' columns stay empty\n');
const subjects = await openSubjects([...(flags.models ?? []), ...positionals]);
if (subjects.length === 0) {
  process.stderr.write('no models: ../shared/models is not there, and --models names none\n');
  process.exit(2);
}
const rows = flags.keep && existsSync(flags.keep) ? JSON.parse(readFileSync(flags.keep, 'utf8')) : [];
const known = ({ format }, { name }) => rows.some((row) => row.format === format && row.model === name);
try {
  for (const name of names) {
    for (const job of parts[name]) {
      const left = subjects.filter((subject) => !known(job, subject));
      await runJobs([job], left, {
        python: flags.python,
        seconds: Number(flags.seconds),
        done(row) {
          rows.push(row);
          if (flags.keep) writeFileSync(flags.keep, `${JSON.stringify(rows, undefined, 1)}\n`);
        },
      });
    }
  }
} finally {
  for (const subject of subjects) await subject.close();
}
if (flags.page) writePage('rivals', tableOf(rows));
process.stdout.write(flags.json ? `${JSON.stringify(rows, undefined, 2)}\n` : tableOf(rows));
