import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'mlpack-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('loadConfig', () => {
  it('gives an empty config where there is none', async () => {
    const { config, file: path } = await loadConfig(undefined, folder);
    expect(config).toEqual({});
    expect(path).toBeUndefined();
  });

  it('reads JSON, YAML and modules alike', async () => {
    const expected = { maxDrop: 0.02, variants: { tiny: ['simplify', 'quantize-weights:bits=4'] } };
    const json = file('a.json', JSON.stringify(expected));
    const yaml = file('a.yaml', 'maxDrop: 0.02\nvariants:\n  tiny: [simplify, "quantize-weights:bits=4"]\n');
    const mjs = file('a.mjs', `export default ${JSON.stringify(expected)};`);
    const marked = file('marked.json', `\uFEFF${JSON.stringify(expected)}`);
    for (const path of [json, yaml, mjs, marked]) {
      const loaded = await loadConfig(path, '/');
      expect(loaded.config).toEqual(expected);
      expect(loaded.folder).toBe(folder);
    }
  });

  it.each([
    ['unknown.json', '{"maxdrop": 1}', /there is no setting "maxdrop" \(did you mean "maxDrop"\?\)/],
    [
      'value.json',
      '{"maxDrop": -2}',
      /maxDrop takes a number from 0, in the unit of the metric, or a share such as "1%", not -2/,
    ],
    ['syntax.json', '{"maxDrop": ', /is not valid JSON/],
    ['shape.json', '[]', /must give one object/],
    ['code.mjs', 'throw new Error("oops")', /failed while it was loaded: oops/],
    ['kind.toml', 'a = 1', /no config that mlpack reads/],
  ])('refuses %s with a sentence', async (name, text, sentence) => {
    await expect(loadConfig(file(name, text), '/')).rejects.toThrow(sentence);
  });

  it('names a config that is not there', async () => {
    await expect(loadConfig('nope.json', folder)).rejects.toThrow(/there is no config file "nope.json"/);
  });
});
