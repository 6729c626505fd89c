import { describe, expect, test } from 'vitest';
import { placementFromLog } from '../../src/engine/placement.ts';
import { formatProvider, parseProvider, withThreads } from '../../src/engine/providers.ts';

describe('providers with options', () => {
  test('are read and written', () => {
    expect(parseProvider('cpu')).toEqual({ id: 'cpu' });
    expect(parseProvider('web-wasm:threads=2')).toEqual({ id: 'web-wasm', threads: 2 });
    expect(parseProvider('cuda:device=0')).toEqual({ id: 'cuda', device: 0 });
    for (const text of ['cpu', 'cpu:threads=4', 'tensorrt:device=1'])
      expect(formatProvider(parseProvider(text))).toBe(text);
  });

  test.each([
    ['cpu:thread=2', 'has no option "thread"; it has threads'],
    ['web-webgpu:threads=2', 'has no option "threads"; it has none'],
    ['cpu:threads=0', 'threads of cpu takes a number from 1'],
    ['cpu:threads=two', 'has no option'],
    ['cuda:threads=2', 'it has device'],
  ])('says what is wrong with %s', (text, why) => {
    expect(() => parseProvider(text)).toThrow(why);
  });

  test('are swept over threads, where they have threads', () => {
    expect(withThreads(['cpu', 'cuda:device=1'], [1, 2])).toEqual(['cpu:threads=1', 'cpu:threads=2', 'cuda:device=1']);
    expect(withThreads(['cpu'], undefined)).toEqual(['cpu']);
    expect(() => withThreads(['cpu:threads=2'], [1])).toThrow('leave out --threads');
  });
});

describe('placement from the verbose log', () => {
  const line = (text: string): string =>
    `2026-11-26 18:21:40.587080 [V:onnxruntime:, session_state.cc:1380 VerifyEachNodeIsAssignedToAnEp] ${text}`;

  test('all on one provider', () => {
    const log = ['something else', line(' All nodes placed on [WebGpuExecutionProvider]. Number of nodes: 48')];
    expect(placementFromLog('web-webgpu', log)).toEqual({ nodes: { webgpu: 48 }, fallbacks: [] });
    expect(placementFromLog('web-webgpu', ['nothing'])).toBeUndefined();
  });

  test('names what fell back', () => {
    const log = [
      line('Node placements'),
      line(' Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2'),
      line('  Shape (/a/Shape)'),
      line('  NonZero (name (with) brackets)'),
      line(' Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 1'),
      line('  Conv (c)'),
    ];
    expect(placementFromLog('web-webgpu', log)).toEqual({
      nodes: { cpu: 2, webgpu: 1 },
      fallbacks: [
        { node: '/a/Shape', op: 'Shape', provider: 'cpu' },
        { node: 'name (with) brackets', op: 'NonZero', provider: 'cpu' },
      ],
    });
    expect(placementFromLog('web-wasm', log)?.fallbacks).toEqual([{ node: 'c', op: 'Conv', provider: 'webgpu' }]);
  });
});
