// Writes src/capability/cpu-kernels.ts from the list of CPU kernels that ONNX Runtime 1.30 registers (as JSON: operator → versions and types).
//
//   node test/bench/cpu-kernels.mjs ../shared/reference/ort130_cpu_schemas_kernels.json
import { readFileSync, writeFileSync } from 'node:fs';

const short = {
  'tensor(float)': 'f32',
  'tensor(float16)': 'f16',
  'tensor(bfloat16)': 'bf16',
  'tensor(double)': 'f64',
  'tensor(int8)': 's8',
  'tensor(uint8)': 'u8',
  'tensor(int16)': 's16',
  'tensor(uint16)': 'u16',
  'tensor(int32)': 's32',
  'tensor(uint32)': 'u32',
  'tensor(int64)': 's64',
  'tensor(uint64)': 'u64',
  'tensor(int4)': 's4',
  'tensor(uint4)': 'u4',
  'tensor(bool)': 'bool',
  'tensor(string)': 'str',
};
const newest = 2147483647;
const { cpu_kernels: kernels, ort } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const lines = [];
for (const [key, registrations] of Object.entries(kernels).sort(([a], [b]) => (a < b ? -1 : 1))) {
  const [domain, op] = key.split('::');
  if (domain === 'ai.onnx.ml' || domain === 'com.microsoft.nchwc') continue;
  const types = new Map();
  for (const { range, types: own } of registrations.filter((one) => one.range[1] === newest)) {
    void range;
    for (const [name, list] of Object.entries(own)) {
      const known = types.get(name) ?? new Set();
      for (const type of list) known.add(short[type] ?? type);
      types.set(name, known);
    }
  }
  const shown = [...types].map(([name, set]) => `${name}=${[...set].join(',')}`);
  lines.push([domain === '' || domain === 'ai.onnx' ? op : `${domain}.${op}`, ...shown].join(' '));
}
const text = `/**
 * Element types of the newest CPU kernels of ONNX Runtime ${ort}, one operator a line: \`op constraint=types\`. Made by test/bench/cpu-kernels.mjs
 * from the runtime's own registry; do not edit.
 */
export const cpuKernels = \`
${lines.join('\n')}
\`;
`;
writeFileSync(new URL('../../src/capability/cpu-kernels.ts', import.meta.url), text);
