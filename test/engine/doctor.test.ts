import { describe, expect, test } from 'vitest';
import { diagnose } from '../../src/engine/doctor.ts';
import { readHost } from '../../src/engine/host.ts';
import { runtimeVersion } from '../../src/engine/runtime.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';

describe('doctor', () => {
  test('tries every provider and says why one does not work', async () => {
    const tried: string[] = [];
    const browser = findChromium() === undefined ? {} : { launchBrowser: () => launchChromium() };
    const found = await diagnose({ onProgress: (id) => tried.push(id), ...browser });
    expect(found.map((one) => one.id)).toEqual([
      'cpu',
      'webgpu',
      'cuda',
      'tensorrt',
      'coreml',
      'dml',
      'web-wasm',
      'web-webgpu',
    ]);
    expect(tried).toEqual(['cpu', 'webgpu', 'cuda', 'tensorrt', 'coreml', 'dml', 'web-wasm, web-webgpu']);
    const byId = new Map(found.map((one) => [one.id, one]));
    expect(byId.get('cpu')).toMatchObject({
      works: true,
      detail: expect.stringContaining(`ONNX Runtime ${await runtimeVersion()}`),
    });
    for (const one of found) expect(one.detail.length).toBeGreaterThan(10);
    if (process.platform === 'linux')
      expect(byId.get('dml')).toMatchObject({ works: false, detail: expect.stringContaining('Windows only') });
    const cuda = byId.get('cuda');
    if (process.platform === 'linux' && cuda && !cuda.works) {
      expect(cuda.enable).toContain(
        'ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js',
      );
    }
    if (findChromium() === undefined) process.stderr.write('(no Chromium here: the web providers were not tried)\n');
    else expect([byId.get('web-wasm')?.works, byId.get('web-webgpu')?.works]).toEqual([true, true]);
  });

  test('describes the machine', async () => {
    const host = await readHost();
    expect(host.cores).toBeGreaterThan(0);
    expect(host.memoryBytes).toBeGreaterThan(1e8);
    expect(host.node).toBe(process.versions.node);
    expect(host.platform).toBe(`${process.platform}-${process.arch}`);
    if (process.platform === 'linux' && process.arch === 'x64') expect(host.flags).toContain('avx2');
  });
});
