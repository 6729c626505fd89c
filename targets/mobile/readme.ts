import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { PlatformChoice } from './choice.ts';
import { codeNames } from './names.ts';
import { reactNativeVersion } from './react-native.ts';
import type { ProviderReport, Usability } from './usability.ts';

interface ReadmeInput {
  readonly artifact: Artifact;
  readonly report: Usability;
  readonly choices: { readonly android: PlatformChoice; readonly ios: PlatformChoice };
  readonly built: readonly {
    readonly folder: string;
    readonly fixed: Uint8Array;
    readonly runtime?: Uint8Array;
    readonly why?: string;
  }[];
  readonly apps: boolean;
  readonly platform: string;
  /** Whether the modules have a test that replays golden cases. */
  readonly tests: { readonly android: boolean; readonly ios: boolean };
}

function providerRow({ name, verdict, use, file: best, files, precision }: ProviderReport): string {
  const file = files.find(({ path }) => path === best);
  const nodes = file ? `${file.supported} of ${file.nodes} in ${file.partitions.length}` : '';
  const numbers =
    precision.given === precision.best ? precision.best : `${precision.best} (this is ${precision.given})`;
  return `| ${name} | ${verdict} | ${nodes} | ${use === null ? 'none' : `\`${use}\``} | ${numbers} |`;
}

function notesOf({ name, precision, notes }: ProviderReport): string {
  const make = precision.make === null ? '' : ` Make it from the float32 original: \`${precision.make}\`.`;
  return `- **${name}**: ${precision.why}${make}${notes.map((note) => ` ${note}`).join('')}`;
}

function fileRows({ built }: ReadmeInput): string {
  return built
    .flatMap(({ folder, fixed, runtime }) => [
      `| \`${folder}/model.ort\` | ${fixed.length} | optimized once, here: CPU and XNNPACK |`,
      ...(runtime
        ? [
            `| \`${folder}/model.with_runtime_opt.ort\` | ${runtime.length} | saves optimizations for the device: CoreML, NNAPI |`,
          ]
        : []),
    ])
    .join('\n');
}

function missingNote({ built }: ReadmeInput): string {
  const why = built.find((one) => one.why !== undefined)?.why;
  if (why === undefined) return '';
  return `
There is no runtime-optimized form of this model: ONNX Runtime ${ortVersion} fails at it (${why}). Load \`model.ort\` with every provider.
`;
}

function appsSection({ artifact, choices, tests }: ReadmeInput): string {
  const replays = (how: string, are: boolean): string =>
    are
      ? `${how} replays the golden inputs`
      : 'There is no golden test: the runtime there does not exchange the types of this model';
  const { kotlinPackage, swiftModule, npmPackage } = codeNames(artifact.name);
  return `## Apps

**Android** (\`android/\`, a Gradle library; packs \`${choices.android.path}\`): put the folder into the project as a module,
\`include(":mlpack-model")\` with its \`projectDir\`, and depend on it. The model is an uncompressed asset, mapped into memory.

\`\`\`kotlin
val model = ${kotlinPackage}.Model(context)          // keep it; Provider.XNNPACK, NNAPI, QNN as argument
val outputs = model.run(mapOf("…" to tensor))
\`\`\`

${replays('`./gradlew connectedAndroidTest`', tests.android)}${tests.android ? ' on a device' : ''}.

**iOS** (\`ios/\`, a Swift package; packs \`${choices.ios.path}\`): add the folder as a local package. ${replays('`xcodebuild test`', tests.ios)}.

\`\`\`swift
import ${swiftModule}
let model = try Model()                              // keep it; provider: .coreML(computeUnits: .all), .xnnpack, .cpu
let outputs = try model.run(["…": tensor])
\`\`\`

**React Native with Expo** (\`react-native/\`, npm package \`${npmPackage}\`): \`npm install ./react-native onnxruntime-react-native@${reactNativeVersion} expo-asset\`,
add \`"onnxruntime-react-native"\` to \`plugins\` in app.json, take \`metro.config.js\` over, then \`npx expo prebuild\`. With Expo SDK 54
autolinking can fail with "install of null" (onnxruntime#26796): turn autolinking of the package off in \`react-native.config.js\` and
link it by hand. Its Gradle file asks for the newest native library: pin it to ${ortVersion} in the app.
`;
}

/** README.md of the bundle. */
export function readme(input: ReadmeInput): string {
  const { artifact, report, platform } = input;
  const converter = platform === 'any' ? '' : ` --target_platform ${platform}`;
  return `# ${artifact.name}: for phones

The \`${artifact.variant}\` variant of \`${artifact.name}\` for ONNX Runtime ${ortVersion} on Android and iOS.

Check that the bundle is whole and its files answer as recorded: \`npx mlpack check .\` (on ONNX Runtime's CPU provider of this
machine; the apps carry tests that do it on a device).

## Files

| file | bytes | |
|---|---|---|
${fileRows(input)}

\`model/model.onnx\` is where they come from: ship it to your build, not to phones. The ORT format belongs to the runtime: make the bundle
anew when you move to a release that reads another format. An app that loads a \`with_runtime_opt\` file sets
\`session.enable_saved_runtime_optimizations\` to \`1\` (the modules here do), and only for files it trusts.
${missingNote(input)}
## A smaller runtime

\`required_operators.config\` beside each file says which operators a build of the runtime must keep, and
\`required_operators_and_types.config\` for which types: the same lines as \`convert_onnx_models_to_ort${converter} --enable_type_reduction\` writes.

\`\`\`sh
./build.sh --android --minimal_build extended --include_ops_by_config model/model.required_operators_and_types.config --enable_reduced_operator_type_support
\`\`\`

## Which provider

| provider | worth trying | nodes on it, in partitions | file | precision to give it |
|---|---|---|---|---|
${report.providers.map(providerRow).join('\n')}

${report.how} Details: \`usability.json\`.

${report.providers.map(notesOf).join('\n')}

${input.apps ? appsSection(input) : ''}`;
}
