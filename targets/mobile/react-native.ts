import { literalText } from '../../src/target/literal.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import type { GlueInput } from './android.ts';
import type { PlatformChoice } from './choice.ts';
import { codeNames } from './names.ts';

/** The newest npm release of the binding; its native library is whatever Gradle and CocoaPods resolve. */
export const reactNativeVersion = '1.24.3';

/** Constructors of `Tensor` data by element type. */
const arrays: Readonly<Record<string, string>> = {
  float32: 'Float32Array',
  float64: 'Float64Array',
  int8: 'Int8Array',
  uint8: 'Uint8Array',
  int16: 'Int16Array',
  uint16: 'Uint16Array',
  int32: 'Int32Array',
  uint32: 'Uint32Array',
  int64: 'BigInt64Array',
  uint64: 'BigUint64Array',
  bool: 'Uint8Array',
};

/** An npm package for React Native with Expo: model as an asset, typed loader, labels. */
export function* reactNativeFiles({ artifact, choice, bytes }: GlueInput): Iterable<BundleFile> {
  const { npmPackage } = codeNames(artifact.name);
  const file = `${artifact.name}.ort`;
  const literal = (name: string): string => literalText('mobile', `react-native/${name}`);
  yield { path: 'react-native/package.json', bytes: packageJson(npmPackage) };
  yield { path: 'react-native/metro.config.js', bytes: literal('metro.config.js') };
  yield { path: `react-native/assets/${file}`, bytes };
  yield { path: 'react-native/src/model.ts', bytes: literal('model.ts') };
  yield { path: 'react-native/src/info.ts', bytes: info(artifact, file, choice) };
  yield { path: 'react-native/src/index.ts', bytes: index(artifact) };
  if (artifact.labels) yield { path: 'react-native/src/labels.ts', bytes: labelsFile(artifact.labels) };
}

function packageJson(name: string): string {
  const value = {
    name,
    version: '1.0.0',
    private: true,
    main: 'src/index.ts',
    types: 'src/index.ts',
    files: ['src', 'assets', 'metro.config.js'],
    peerDependencies: { expo: '>=50', 'expo-asset': '*', 'onnxruntime-react-native': reactNativeVersion },
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

function info(artifact: Artifact, file: string, choice: PlatformChoice): string {
  const type = ({ dtype, shape }: Artifact['inputs'][number]): string => {
    const dims = shape === null ? 'any shape' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
    return `/** ${`${dtype} ${dims}`.replaceAll('*/', '* /')}, data as ${arrays[dtype] ?? 'an array'} */`;
  };
  const rows = (values: Artifact['inputs']): string =>
    values.map((value) => `  ${type(value)}\n  readonly ${JSON.stringify(value.name)}: Tensor;`).join('\n');
  return `import type { Tensor } from 'onnxruntime-react-native';

export interface ModelInputs {
${rows(artifact.inputs)}
}

export interface ModelOutputs {
${rows(artifact.outputs)}
}

/** Metro replaces the call by the number of the asset. */
export const modelFile: number = require(${JSON.stringify(`../assets/${file}`)});

/** The preferred provider first; on Android add 'nnapi', on iOS 'coreml', where the golden cases agree on your devices. */
export const providers: readonly string[] = ${JSON.stringify(choice.provider === 'xnnpack' ? ['xnnpack', 'cpu'] : ['cpu'])};

/** Session config entries that belong to the file. */
export const sessionConfig = ${JSON.stringify(nested(choice.config))};
`;
}

/** \`session.a.b\` as objects within each other, the form that the JavaScript API takes. */
function nested(config: Readonly<Record<string, string>>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const parts = key.split('.');
    let at = root;
    for (const part of parts.slice(0, -1)) {
      at[part] ??= {};
      at = at[part] as Record<string, unknown>;
    }
    at[parts.at(-1) ?? key] = value;
  }
  return root;
}

function index(artifact: Artifact): string {
  const lines = ["export { Model } from './model';", "export type { ModelInputs, ModelOutputs } from './info';"];
  if (artifact.labels) lines.push("export { labels, top } from './labels';");
  return `${lines.join('\n')}\n`;
}

function labelsFile(labels: readonly string[]): string {
  return `/** The classes of the model, in the order of its output. */
export const labels: readonly string[] = ${JSON.stringify(labels, null, 2)};

/** The likeliest classes of one row of scores: their softmax, unless the model gave shares already. */
export function top(scores: ArrayLike<number>, count = 5): { label: string; index: number; share: number }[] {
  const values = Array.from(scores);
  const sum = values.reduce((a, b) => a + b, 0);
  const given = Math.abs(sum - 1) < 0.01 && values.every((value) => value >= 0 && value <= 1);
  const highest = Math.max(...values);
  const powers = given ? values : values.map((value) => Math.exp(value - highest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers
    .map((power, index) => ({ label: labels[index] ?? String(index), index, share: power / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, count);
}
`;
}
