import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { Host } from '../report/report.ts';
import { runtimeVersion } from './runtime.ts';

/** Instruction sets that decide speed and saturation of int8 arithmetic, by the names of /proc/cpuinfo. */
const telling = [
  'avx2',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'avx_vnni_int8',
  'amx_int8',
  'f16c',
  'avx512_fp16',
  'asimd',
  'asimddp',
  'asimdhp',
  'i8mm',
  'sve',
];
/** The same on macOS: sysctl key → name above. */
const appleKeys: Readonly<Record<string, string>> = {
  'hw.optional.AdvSIMD': 'asimd',
  'hw.optional.arm.FEAT_DotProd': 'asimddp',
  'hw.optional.arm.FEAT_FP16': 'asimdhp',
  'hw.optional.arm.FEAT_I8MM': 'i8mm',
};

/** The machine, as the report records it. */
export async function readHost(): Promise<Host> {
  const all = cpus();
  return {
    platform: `${process.platform}-${process.arch}`,
    cpu: all[0]?.model.trim() || 'unknown',
    flags: await cpuFlags(),
    cores: all.length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    ort: await runtimeVersion(),
  };
}

/** Empty where the system does not tell (Windows). */
async function cpuFlags(): Promise<string[]> {
  if (process.platform === 'linux') {
    const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
    const words = new Set((/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? '').split(/\s+/));
    return telling.filter((flag) => words.has(flag));
  }
  if (process.platform !== 'darwin') return [];
  // Unknown keys make sysctl fail for the whole list, so each is asked for alone.
  const found = await Promise.all(
    Object.entries(appleKeys).map(async ([key, flag]) => ((await sysctl(key)) === '1' ? flag : '')),
  );
  return found.filter((flag) => flag !== '');
}

async function sysctl(key: string): Promise<string> {
  try {
    return (await promisify(execFile)('sysctl', ['-n', key])).stdout.trim();
  } catch {
    // An older system without this key does not have the feature either.
    return '';
  }
}
