import { companionJson } from '../../src/target/literal.ts';
import type { Artifact } from '../../src/target/target.ts';
import { type Dtype, preferences } from './names.ts';
import type { Placed } from './place.ts';

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function best(device: keyof typeof preferences, there: ReadonlySet<Dtype>): Dtype | undefined {
  return preferences[device].find((dtype) => there.has(dtype));
}

/** What the model's own config.json says, with `transformers.js_config`: which dtype each device takes of those that are there. */
export function configJson(artifact: Artifact, placed: readonly Placed[]): string {
  const companion = artifact.companions?.find(({ name }) => name === 'config.json');
  const own: unknown = companion ? companionJson(companion.source) : { model_type: 'custom' };
  const config = isObject(own) ? own : {};
  const there = new Set(placed.map(({ dtype }) => dtype));
  const before = isObject(config['transformers.js_config']) ? config['transformers.js_config'] : {};
  const devices = (['wasm', 'webgpu', 'cpu'] as const).flatMap((device) => {
    const dtype = best(device, there);
    return dtype === undefined ? [] : [[device, { dtype }] as const];
  });
  const external = Object.fromEntries(
    placed
      .filter(({ artifact: { files } }) => files.length > 1)
      .map(({ path, artifact: { files } }) => [path.slice(path.lastIndexOf('/') + 1), files.length - 1]),
  );
  const labels = artifact.labels;
  const named =
    labels && config.id2label === undefined
      ? {
          id2label: Object.fromEntries(labels.map((label, n) => [String(n), label])),
          label2id: Object.fromEntries(labels.map((label, n) => [label, n])),
        }
      : {};
  // Which files there are says this folder, not the one that the model came from.
  const { dtype: _, use_external_data_format: __, device_config: theirs, ...kept } = before;
  const ours = {
    ...kept,
    device_config: deviceConfig(isObject(theirs) ? theirs : {}, Object.fromEntries(devices)),
    ...(Object.keys(external).length > 0 && { use_external_data_format: external }),
  };
  return `${JSON.stringify({ ...config, ...named, 'transformers.js_config': ours }, null, 2)}\n`;
}

/** Settings of each device, with the dtype that is here. */
function deviceConfig(theirs: Json, ours: Readonly<Record<string, Json>>): Json {
  const merged = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].map((device) => {
    const settings = theirs[device];
    const { dtype: _, use_external_data_format: __, ...kept } = isObject(settings) ? settings : {};
    return [device, { ...kept, ...ours[device] }] as const;
  });
  return Object.fromEntries(merged);
}
