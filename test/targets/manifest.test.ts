import Ajv2020 from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { type Manifest, parseManifest, printManifest } from '../../src/target/manifest.ts';
import { manifestSchema } from '../../src/target/manifest-schema.ts';

const digest = 'a'.repeat(64);

function valid(): Manifest {
  return {
    schema: 'mlpack.bundle/1',
    tool: { name: 'mlpack', version: '1.0.0' },
    target: 'server',
    kind: 'http-v2',
    options: { anything: [1] },
    release: { version: '1.0.0', previous: null },
    evidence: null,
    variant: 'base',
    model: { name: 'digits', sha256: digest, license: null, files: [{ name: 'model.onnx', path: 'model/model.onnx' }] },
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 3, null] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: null }],
    labels: ['a', 'b'],
    providers: ['cpu'],
    runtime: { package: 'onnxruntime-node', version: '1.30.0' },
    requires: { irVersion: 8, opsets: { '': 17 } },
    commands: { install: 'npm ci', start: 'node server.mjs' },
    notes: [],
    golden: [
      {
        inputs: [{ name: 'x', dtype: 'float32', shape: [1, 3, 2], file: 'golden/0/input-0.bin' }],
        outputs: [],
        tolerance: { rtol: 0, atol: 1e-5 },
      },
    ],
    files: [{ path: 'model/model.onnx', bytes: 3, sha256: digest }],
  };
}

const ajv = new Ajv2020.default({ strict: false });
const validate = ajv.compile(manifestSchema);

/** What is changed, where (`deleted` removes), to what, and what must be said. */
type Change = readonly [what: string, path: string, value: unknown, message: string];
const deleted = Symbol('deleted');

const changes: readonly Change[] = [
  ['a missing key', 'files', deleted, 'mlpack.json lacks "files"'],
  ['an unknown key', 'extra', 1, 'unknown key "extra"'],
  ['another schema', 'schema', 'mlpack.bundle/2', 'schema must be "mlpack.bundle/1"'],
  ['an unknown kind', 'kind', 'exe', 'kind must be one of http-v2, browser'],
  ['a short digest', 'files.0.sha256', 'abc', 'files[0].sha256 does not match'],
  ['an upper-case digest', 'model.sha256', 'A'.repeat(64), 'model.sha256 does not match'],
  ['a negative size', 'files.0.bytes', -1, 'files[0].bytes must be at least 0'],
  ['half a byte', 'files.0.bytes', 1.5, 'files[0].bytes must be an integer'],
  ['a size as text', 'files.0.bytes', '3', 'files[0].bytes must be an integer, and is a string'],
  ['no model file', 'model.files', [], 'model.files needs at least 1'],
  ['a model name with a slash', 'model.name', 'a/b', 'model.name does not match'],
  ['labels that are no list', 'labels', 'a', 'labels must be an array'],
  ['a wrong dimension', 'inputs.0.shape', [true], 'inputs[0].shape[0] must be null'],
  ['a golden shape with a symbol', 'golden.0.inputs.0.shape', ['n'], 'golden[0].inputs[0].shape[0] must be an integer'],
  ['a null for an object', 'commands', null, 'commands must be an object, and is null'],
  ['an opset that is text', 'requires.opsets.x', '17', 'requires.opsets.x must be an integer'],
];

/** The valid manifest as JSON with one place changed. */
function changed(path: string, value: unknown): unknown {
  const root: unknown = JSON.parse(JSON.stringify(valid()));
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const holder = keys.reduce((at, key) => (at as Record<string, unknown>)[key], root) as Record<string, unknown>;
  if (value === deleted) delete holder[last];
  else holder[last] = value;
  return root;
}

describe('manifest', () => {
  it('survives print and parse', () => {
    expect(parseManifest(printManifest(valid()))).toEqual(valid());
    expect(validate(valid())).toBe(true);
  });

  it.each(changes)('refuses %s, as an independent validator does', (_, path, value, message) => {
    const manifest = changed(path, value);
    expect(() => parseManifest(JSON.stringify(manifest))).toThrow(message);
    expect(validate(manifest)).toBe(false);
  });

  it('refuses what is not JSON, and what is no object', () => {
    expect(() => parseManifest('{')).toThrow('mlpack.json is not JSON');
    expect(() => parseManifest('[]')).toThrow('mlpack.json must be an object, and is an array');
    expect(() => parseManifest('null')).toThrow('mlpack.json must be an object, and is null');
  });
});
