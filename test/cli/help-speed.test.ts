import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { presets } from '../../passes/presets.ts';
import type { PassList } from '../../src/cli/pass-list.ts';
import { distBin, distRoot } from './support.ts';

/** The files that Node loads for a command: its coverage output lists every script. */
function scriptsOf(argv: readonly string[]): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'mlpack-test-'));
  try {
    execFileSync(process.execPath, [distBin, ...argv], { env: { ...process.env, NODE_V8_COVERAGE: dir } });
    const files = readdirSync(dir).filter((name) => name.startsWith('coverage'));
    expect(files).toHaveLength(1);
    const { result } = JSON.parse(readFileSync(join(dir, files[0] ?? ''), 'utf8')) as { result: { url: string }[] };
    return result.map(({ url }) => url);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

it('--help, --version and the help of a pass load neither the runtime nor the codec nor a pass', () => {
  for (const argv of [['--help'], ['--version'], ['quantize-dynamic', '--help']]) {
    const scripts = scriptsOf(argv);
    expect(scripts.some((url) => url.includes('dist/src/cli/main.js'))).toBe(true);
    const heavy =
      /onnxruntime|protobufjs|transformers|sharp|playwright|yaml|tinybench|\/src\/(onnx|engine|ir|data)\/|\/passes\//;
    expect(scripts.filter((url) => heavy.test(url))).toEqual([]);
  }
});

it('the list of passes that --help reads is the registry, and says where each pass is', async () => {
  const list = JSON.parse(readFileSync(join(distRoot, 'passes', 'list.json'), 'utf8')) as PassList;
  const wanted = {
    passes: passes.map(({ id, summary, options, rules }) => ({ id, summary, options, rules })),
    presets: Object.keys(presets),
  };
  const bare = list.passes.map(({ module: _, exported: __, ...pass }) => pass);
  expect({ ...list, passes: bare }).toEqual(JSON.parse(JSON.stringify(wanted)));
  for (const { id, module = '', exported = '' } of list.passes) {
    const file = (await import(pathToFileURL(join(distRoot, 'passes', module)).href)) as Record<string, { id: string }>;
    expect(file[exported]?.id).toBe(id);
  }
});
