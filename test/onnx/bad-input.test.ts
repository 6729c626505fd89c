import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { onnx } from 'onnx-proto';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { defaultLimits, type Limits } from '../../src/onnx/limits.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';
import { concat, field, floats, graph, modelBytes, smallModel, valueInfo } from './support/proto.ts';

const dir = mkdtempSync(join(tmpdir(), 'mlpack-bad-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Reads and writes; damaged input may only give a UserError with a sentence. @returns its code, or 'fine' */
function survive(bytes: Uint8Array): string {
  try {
    const model = decodeModel(bytes);
    for (const inner of model.graphs()) for (const value of inner.initializers) value.initializer?.bytes();
    encodeModel(model);
    return 'fine';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.message).toMatch(/^[^\n]{20,1000}[.]$/);
    return error.code;
  }
}

test.skipIf(process.platform === 'win32')('a named pipe is refused, and not waited for', async () => {
  const pipe = join(dir, 'pipe.onnx');
  execFileSync('mkfifo', [pipe]);
  // Whoever waits for it is let go by this, and late.
  const writer = spawn('sh', ['-c', `sleep 3; timeout 1 sh -c ': > ${pipe}'`], { stdio: 'ignore' });
  const begun = performance.now();
  await expect(loadModel(pipe)).rejects.toThrow('is not a regular file; give the .onnx file.');
  expect(performance.now() - begun).toBeLessThan(2500);
  writer.kill();
});

describe('not a model', () => {
  test.each<[string, string | number[], RegExp]>([
    ['an empty file', '', /empty/],
    ['a JPEG', [0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46], /JPEG/],
    ['a PNG', [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], /PNG/],
    ['text', 'This is the documentation of the model.\nIt has two lines.\n', /text file/],
    ['HTML', '<!DOCTYPE html><html><body>404</body></html>', /HTML/],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n', /git lfs pull/],
    ['a zip archive', 'PK\x03\x04\x14\x00\x00\x00', /zip/],
    ['an .ort file', '\x20\x00\x00\x00ORTM\x00\x00', /\.ort file/],
    ['a TensorFlow Lite model', '\x1c\x00\x00\x00TFL3', /TensorFlow Lite/],
    ['a safetensors file', '\x10\x00\x00\x00\x00\x00\x00\x00{"__metadata__"', /safetensors/],
    ['a pickle', [0x80, 0x02, 0x8a, 10], /pickle/],
    ['ONNX text', '<ir_version: 8, opset_import: ["" : 17]>\nagraph (float[N] x) => (float[N] y) {}', /text form/],
    ['zeros', Array.from({ length: 100 }, () => 0), /damaged or no ONNX model/],
    ['a lone graph', [...modelBytes(graph([]))].slice(2, 12), /./],
  ])('%s', async (name, content, message) => {
    const path = join(dir, `${name.replaceAll(' ', '-')}.onnx`);
    writeFileSync(path, typeof content === 'string' ? Buffer.from(content, 'latin1') : Uint8Array.from(content));
    const error: unknown = await loadModel(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message.startsWith(`${path}: `)).toBe(true);
  });

  test('a file that is not there, and a folder', async () => {
    await expect(loadModel(join(dir, 'none.onnx'))).rejects.toThrow(/does not exist/);
    await expect(loadModel(dir)).rejects.toThrow(/is a folder/);
  });

  test('a newer IR version: the limit and the way out are said, and it may be raised', () => {
    const bytes = smallModel({ irVersion: 14 });
    expect(() => decodeModel(bytes)).toThrow(/IR version 14; up to 13.*Export it again/);
    expect(decodeModel(bytes, { limits: { ...defaultLimits, irVersion: 14 } }).irVersion).toBe(14);
  });

  test('no operator set, an impossible one, no graph', () => {
    expect(() => decodeModel(smallModel({ opsetImport: [] }))).toThrow(/no operator set/);
    expect(() => decodeModel(smallModel({ opsetImport: [{ version: -1 }] }))).toThrow(/impossible version -1/);
    expect(() => decodeModel(onnx.ModelProto.encode({ irVersion: 8 }).finish())).toThrow(/no graph/);
  });
});

describe('damage', () => {
  const content = graph(
    [
      {
        op: 'If',
        in: ['c'],
        out: ['h'],
        attrs: ['then_branch', 'else_branch'].map((name) => ({
          name,
          type: 5,
          g: { node: [{ opType: 'Neg', input: ['x'], output: ['r'] }], output: [valueInfo('r')] },
        })),
      },
      { op: 'Add', in: ['h', 'w'], out: ['y'] },
    ],
    {
      input: [valueInfo('c', 9, []), valueInfo('x', 1, ['batch'])],
      output: [valueInfo('y')],
      initializer: [floats('w', [1, 2]), { name: 'v', dims: [2], dataType: 7, int64Data: [1, -1] }],
    },
  );
  const whole = modelBytes(content, { metadataProps: [{ key: 'key', value: 'value' }], producerName: 'someone' });

  test('cut at any byte: refused with a sentence, or complete as far as anyone can tell', () => {
    const codes = new Map<string, number>();
    let complete = 0;
    for (let length = 0; length < whole.length; length++) {
      const code = survive(whole.subarray(0, length));
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (code === 'fine') complete++;
    }
    // Behind the operator sets only the metadata follow: cut exactly before them, the rest is a whole model.
    expect(complete).toBe(1);
    expect(codes.get('model-truncated')).toBeGreaterThan(whole.length * 0.9);
    expect(survive(whole)).toBe('fine');
  });

  test('any byte set to any of a few values, any bit flipped: never a crash', () => {
    let fine = 0;
    for (let at = 0; at < whole.length; at++) {
      for (const change of [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff]) {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        if (survive(bytes) === 'fine') fine++;
      }
    }
    expect(fine).toBeGreaterThan(0);
  });

  test.runIf(haveSharedModels)('many random flips in a real model: no crash, no hang, bounded memory', () => {
    const source = readFileSync(sharedModel('mnist-cntk'));
    const before = process.memoryUsage().rss;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (changes) => {
          const bytes = new Uint8Array(source);
          for (const [at, value] of changes) bytes[at] = value;
          survive(bytes);
        },
      ),
      { numRuns: 3000 },
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(400e6);
  });

  test('random bytes: never a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(survive(bytes)).not.toBe('fine');
      }),
      { numRuns: 3000 },
    );
  });
});

describe('limits, each by its name', () => {
  const refuse = (bytes: Uint8Array, limit: keyof Limits, value?: number): void => {
    const limits = value === undefined ? defaultLimits : { ...defaultLimits, [limit]: value };
    expect(() => decodeModel(bytes, { limits })).toThrow(new RegExp(`limit "${limit}"`));
  };
  const wrap = (content: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(8, 8), field(7, content), field(8, Uint8Array.of(16, 17)));

  test('nesting', () => {
    // node { attribute { g { node … } } }, each level three messages deep
    let inner: Uint8Array = new Uint8Array(0);
    for (let level = 0; level < 40; level++) inner = field(1, field(5, field(6, inner)));
    refuse(wrap(inner), 'nesting');
    let fine: Uint8Array = new Uint8Array(0);
    for (let level = 0; level < 30; level++) {
      fine = field(
        1,
        concat(
          field(4, Buffer.from('If')),
          field(5, concat(field(1, Buffer.from('b')), field(6, fine), Uint8Array.of(0xa0, 1, 5))),
        ),
      );
    }
    expect(survive(wrap(fine))).toBe('fine');
  });
  test('nesting of unknown groups does not exhaust the stack', () => {
    const groups = new Uint8Array(200_000).map((_, i) => (i % 2 === 0 ? 0xa3 : 0x01));
    expect(survive(wrap(groups))).toBe('model-malformed');
  });
  test('messages, nodes, tensors', () => {
    const nodes = wrap(new Uint8Array(2000).map((_, i) => (i % 2 === 0 ? 0x0a : 0)));
    refuse(nodes, 'messages', 500);
    refuse(nodes, 'nodes', 500);
    refuse(wrap(new Uint8Array(2000).map((_, i) => (i % 2 === 0 ? 0x2a : 0))), 'tensors', 500);
  });
  test('a file of millions of empty nodes stays bounded', () => {
    refuse(wrap(new Uint8Array(5_000_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0))), 'nodes');
  });
  test('numbers and strings in lists', () => {
    refuse(wrap(field(1, field(5, field(8, new Uint8Array(5000))))), 'numbers', 1000);
    refuse(
      wrap(
        field(
          1,
          new Uint8Array(4000).map((_, i) => (i % 2 === 0 ? 0x0a : 0)),
        ),
      ),
      'strings',
      1000,
    );
  });
  test('runs of unknown fields', () => {
    const scattered = new Uint8Array(4000);
    for (let i = 0; i < scattered.length; i += 4) scattered.set([0x18, 0, 0x12, 0], i);
    refuse(wrap(scattered), 'runs', 100);
  });
  test('text', () => {
    refuse(wrap(field(2, new Uint8Array(1000).fill(0x61))), 'textBytes', 999);
  });
  test('file', () => {
    refuse(smallModel(), 'fileBytes', 10);
  });
  test('rank and extent of a value', () => {
    const info = (dims: Uint8Array): Uint8Array =>
      wrap(
        field(11, concat(field(1, Buffer.from('x')), field(2, field(1, concat(Uint8Array.of(8, 1), field(2, dims)))))),
      );
    refuse(info(concat(...Array.from({ length: 65 }, () => field(1, Uint8Array.of(8, 1))))), 'rank');
    refuse(info(field(1, Uint8Array.of(8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40))), 'elements');
  });
});
