import { opt } from '../../src/pass/options.ts';
import { literalPath } from '../../src/target/literal.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { compileModel, type Program } from './compile/compile.ts';
import { type Names, portNames, printHeader, printSource } from './compile/print.ts';
import { CannotCompile, countOf } from './compile/types.ts';
import { goldenTest } from './golden-test.ts';
import { readme } from './readme.ts';

/** A C identifier out of the model's name. */
function prefixOf(name: string, given: string): string {
  if (given !== '') return given;
  const plain = name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
  return /^[A-Za-z]/.test(plain) ? plain : `model_${plain}`;
}

function programOf(artifact: Artifact): Program {
  const program = artifact.graph && compileModel(artifact.graph);
  if (!program || Array.isArray(program)) throw new CannotCompile((program ?? ['There is no graph.']).join(' '));
  return program;
}

/** The model as bytes in a program that has ONNX Runtime: bundle path → literal file. */
const embedding: Readonly<Record<string, string>> = {
  'source/model.S': 'model.S',
  'source/model_onnx.h': 'model_onnx.h',
  'source/model.rs': 'model.rs.txt',
  'source/model.go': 'model.go.txt',
};

function* emit(artifact: Artifact, { prefix: given }: { readonly prefix: string }): Iterable<BundleFile> {
  const program = programOf(artifact);
  const prefix = prefixOf(artifact.name, given);
  const names: Names = { prefix, title: `${artifact.name}, variant ${artifact.variant}` };
  yield {
    path: 'model.c',
    bytes: printSource(program, names),
    program: { format: 'c99' },
  };
  yield { path: 'model.h', bytes: printHeader(program, names) };
  yield { path: 'test/golden.c', bytes: goldenTest(program, prefix, artifact.golden) };
  yield { path: 'CMakeLists.txt', from: literalPath('embedded-c', 'CMakeLists.txt') };
  yield { path: 'memory.json', bytes: memoryReport(program) };
  yield { path: 'README.md', bytes: readme(artifact, program, prefix) };
  // Weights in files of their own are not in model.onnx, so its bytes alone would not load.
  if (artifact.files.length === 1)
    for (const [path, name] of Object.entries(embedding)) yield { path, from: literalPath('embedded-c', name) };
  for (const { name, source } of artifact.files) yield { path: `source/${name}`, from: source };
}

/** Every block of the arena with its place and steps, so that the plan can be looked at. */
function memoryReport({ memory, steps, constants, inputs, outputs }: Program): string {
  const lives = new Map<number, { offset: number; bytes: number; from: number; to: number }>();
  for (const [at, step] of steps.entries()) {
    const blocks = [...step.reads, ...step.writes].map(({ block }) => block);
    for (const block of [...blocks, ...(step.scratch ? [step.scratch] : [])]) {
      const offset = memory.offsets.get(block);
      if (offset === undefined) continue;
      const life = lives.get(block.id);
      if (life) life.to = at;
      else lives.set(block.id, { offset, bytes: block.bytes, from: at, to: at });
    }
  }
  const ports = (all: Program['inputs']): object[] =>
    portNames(all).map((name, i) => ({ name, bytes: all[i]?.ref.block.bytes }));
  const report = {
    arenaBytes: memory.bytes,
    lowerBoundBytes: memory.lowerBound,
    constantBytes: constants.reduce((sum, { bytes }) => sum + bytes.length, 0),
    inputs: ports(inputs),
    outputs: ports(outputs),
    steps: steps.map(({ title }) => title),
    blocks: [...lives.values()],
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** The model as C99: no runtime, no allocation, one function. */
export const embeddedC = defineTarget({
  id: 'embedded-c',
  summary: 'C99 source of the model: one function, static memory, no library but math',
  options: { prefix: opt.string('', 'prefix of the C names (default: the name of the model)') },
  providers: ['c99'],
  runtime: { package: 'none', version: 'C99' },
  wantsGraph: true,
  supports(artifact, { prefix }) {
    if (prefix !== '' && !/^[A-Za-z][A-Za-z0-9_]*$/.test(prefix))
      return { ok: false, because: [`"${prefix}" cannot begin names in C: use letters, digits and "_".`] };
    // What ONNX Runtime cannot read has no recorded outputs that the code could be held against.
    const objections = runtimeObjections(artifact);
    if (objections.length > 0) return { ok: false, because: objections };
    if (!artifact.graph)
      return { ok: false, because: ['There is no golden case to take the shapes of the inputs from.'] };
    const program = compileModel(artifact.graph);
    if (Array.isArray(program)) return { ok: false, because: program };
    const { memory, constants } = program;
    const flash = constants.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const shapes = program.inputs.map(({ value, ref }) => `${value.name} [${ref.shape.join(', ')}]`).join(', ');
    return {
      ok: true,
      because: [
        `Working memory ${memory.bytes} bytes (${(memory.bytes / Math.max(1, memory.lowerBound)).toFixed(2)} × what is alive at once), weights ${flash} bytes.`,
        `Shapes are fixed: ${shapes}.`,
        ...(program.outputs.some(({ ref }) => countOf(ref.shape) === 0) ? ['An output is empty.'] : []),
      ],
    };
  },
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
