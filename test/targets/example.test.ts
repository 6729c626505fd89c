/** Requests and rows that bundles bring to be tried with, and what their READMEs say to copy. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import type { Artifact } from '../../src/target/target.ts';
import { targets } from '../../targets/index.ts';
import { exampleInstances, exampleRequest, exampleRow } from '../../targets/server/example.ts';
// @ts-expect-error -- a file of the bundle, in plain JavaScript
import { readInstances, writePredictions } from '../../targets/server/files/lib/instances.mjs';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { tempDir } from './support/temp.ts';

const base = { name: 'm', golden: [], outputs: [{ name: 'y', dtype: 'float32', shape: ['n', 1] }] };
const artifactOf = (change: object): Artifact => ({ ...base, ...change }) as unknown as Artifact;
const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const read = (text: string | undefined): unknown => JSON.parse(text ?? 'null');

describe('examples', () => {
  const cached = artifactOf({
    inputs: [
      { name: 'x', dtype: 'float32', shape: ['n', 2] },
      { name: 'past', dtype: 'float32', shape: ['n', 2, 'p', 8] },
    ],
    golden: [
      {
        inputs: [
          { name: 'x', dtype: 'float32', shape: [2, 2], bytes: floats(0.1, 1, 2, 3e-7) },
          { name: 'past', dtype: 'float32', shape: [2, 2, 0, 8], bytes: floats() },
        ],
        outputs: [],
      },
    ],
  });

  it('are the recorded case, with the shortest numbers that are the same floats', () => {
    expect(exampleRequest(cached)).toContain('"data":[0.1,1,2,3e-7]');
    expect(read(exampleRequest(cached))).toEqual({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [2, 2], data: [0.1, 1, 2, 3e-7] },
        { name: 'past', datatype: 'FP32', shape: [2, 2, 0, 8], data: [] },
      ],
    });
    expect(read(exampleRow(cached))).toEqual({ x: [0.1, 1], past: [[], []] });
    expect(read(exampleInstances(cached))).toEqual({
      instances: [
        { x: [0.1, 1], past: [[], []] },
        { x: [2, 3e-7], past: [[], []] },
      ],
    });
  });

  it('are zeros where nothing was recorded or it is too long, and none where those are too', () => {
    const image = (side: number): Artifact =>
      artifactOf({ inputs: [{ name: 'i', dtype: 'uint8', shape: ['n', 3, side, side] }] });
    expect(read(exampleRequest(image(2)))).toEqual({
      inputs: [{ name: 'i', datatype: 'UINT8', shape: [1, 3, 2, 2], data: Array(12).fill(0) }],
    });
    expect(exampleRequest(image(1000))).toBeUndefined();
    const [recorded] = cached.golden;
    const long = {
      name: 'i',
      dtype: 'float32',
      shape: [1, 3, 300, 300],
      bytes: new Uint8Array(new Float32Array(270_000).fill(0.123).buffer),
    };
    const inputs = [{ name: 'i', dtype: 'float32', shape: ['n', 3, 300, 300] }];
    const text = exampleRequest(artifactOf({ inputs, golden: [{ ...recorded, inputs: [long] }] }));
    expect(text?.length).toBeLessThan(1_000_000);
    expect(text).not.toContain('0.123');
  });

  it('are taken as Vertex AI writes them, empty lists too', () => {
    const info = {
      inputs: [
        { name: 'x', dtype: 'float32', datatype: 'FP32', shape: ['n', 2] },
        { name: 'past', dtype: 'float32', datatype: 'FP32', shape: ['n', 2, 'p', 8] },
      ],
      outputs: [{ name: 'y', dtype: 'float32', datatype: 'FP32', shape: ['n', 1] }],
    };
    const { feeds } = readInstances(info, read(exampleInstances(cached))) as {
      feeds: readonly { readonly shape: readonly number[] }[];
    };
    expect(feeds.map(({ shape }) => shape)).toEqual([
      [2, 2],
      [2, 2, 0, 8],
    ]);
    const outputs = [{ tensor: { name: 'y', datatype: 'FP32' } }];
    const none = { y: { dims: [2, 0, 3], data: [] } };
    expect(writePredictions(info, outputs, none)).toEqual({ predictions: [[], []] });
  });
});

describe('README', () => {
  /** What the commands make, or what is the reader's own. */
  const elsewhere =
    /^(kafka-topics\.sh|answer\.(bin|json)|better\.onnx|in\.parquet|prometheus\.yml|function\.zip|ca\.pem|\.\.\/.*|models\/[^/]+\/2.*)$/;
  const ids = 'server sagemaker vertex lambda functions batch stream triton kserve mlflow oci'.split(' ');

  it.each(ids)('of %s says to use no file that the bundle does not have', async (id) => {
    const dir = await tempDir();
    const out = join(dir, 'bundle');
    const target = targets.find((one) => one.id === id);
    if (target === undefined) throw new Error(`no target ${id}`);
    await buildBundle(target, { ...(await makeArtifact(dir, classifier, classifierFeeds)), name: 'tiny' }, {}, out);
    const readme = await readFile(join(out, 'README.md'), 'utf8');
    const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = '']) =>
      text.replace(/\s+# .*$/gm, ''),
    );
    const named = commands
      .join('\n')
      .match(/[\w./-]+\.(?:jsonl?|ya?ml|mjs|sh|conf|py|bin|zip|parquet|tar\.gz|onnx|pem)\b/g);
    const missing = (named ?? []).filter(
      (path) => !elsewhere.test(path) && !existsSync(join(out, path.replace(/^(PWD)?\//, ''))),
    );
    expect(missing).toEqual([]);
    // Copied as a whole, a block asks the server that it has just put into the background.
    for (const block of commands) {
      const lines = block.split('\n');
      const begun = lines.findIndex((line) => /[^&]&$/.test(line) && !line.startsWith('mosquitto'));
      const asks = begun < 0 ? undefined : lines.slice(begun + 1).find((line) => line.startsWith('curl'));
      if (asks !== undefined) expect(asks).toContain('--retry-connrefused');
    }
  });
});
