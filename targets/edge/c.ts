import { literalPath, literalText } from '../../src/target/literal.ts';
import type { Artifact, BundleFile, GoldenTensor } from '../../src/target/target.ts';

interface Type {
  readonly onnx: string;
  readonly c: string;
  /** As `test/golden.c` names it. */
  readonly code: string;
  readonly width: number;
}

/** Element types that a C program exchanges; strings are not among them. */
const types: Readonly<Record<string, Type>> = {
  float32: { onnx: 'FLOAT', c: 'float', code: 'f', width: 4 },
  float64: { onnx: 'DOUBLE', c: 'double', code: 'd', width: 8 },
  float16: { onnx: 'FLOAT16', c: 'uint16_t (a half)', code: 'e', width: 2 },
  int8: { onnx: 'INT8', c: 'int8_t', code: 'b', width: 1 },
  uint8: { onnx: 'UINT8', c: 'uint8_t', code: 'B', width: 1 },
  bool: { onnx: 'BOOL', c: 'uint8_t (0 or 1)', code: 'B', width: 1 },
  int16: { onnx: 'INT16', c: 'int16_t', code: 'h', width: 2 },
  uint16: { onnx: 'UINT16', c: 'uint16_t', code: 'H', width: 2 },
  int32: { onnx: 'INT32', c: 'int32_t', code: 'i', width: 4 },
  uint32: { onnx: 'UINT32', c: 'uint32_t', code: 'I', width: 4 },
  int64: { onnx: 'INT64', c: 'int64_t', code: 'q', width: 8 },
  uint64: { onnx: 'UINT64', c: 'uint64_t', code: 'Q', width: 8 },
};

/** A C identifier out of the model's name. */
export function cName(name: string): string {
  const plain = name
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .toLowerCase();
  // `model_…` also keeps clear of keywords and of what ONNX Runtime's headers define.
  return `model_${plain}`;
}

/** What a C program cannot exchange, in sentences. */
export function cObjections({ inputs, outputs }: Artifact): string[] {
  const sides = [...inputs.map((one) => ['Input', one] as const), ...outputs.map((one) => ['Output', one] as const)];
  return sides.flatMap(([side, { name, dtype, shape }]) => {
    if (!types[dtype]) return [`${side} "${name}" is ${dtype}, which the C program does not exchange.`];
    return (shape?.length ?? 0) > 16 ? [`${side} "${name}" has more than 16 dimensions.`] : [];
  });
}

function cString(text: string): string {
  const bytes = [...Buffer.from(text, 'utf8')];
  // Octal escapes have three digits at most, so that a digit behind one is not taken for a part of it.
  const escaped = bytes.map((byte) =>
    byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63
      ? String.fromCharCode(byte)
      : `\\${byte.toString(8).padStart(3, '0')}`,
  );
  return `"${escaped.join('')}"`;
}

/** Inside a comment nothing may end it. */
function inComment(text: string): string {
  return text.replaceAll('*/', '* /').replace(/[^ -~]/g, '?');
}

function signature({ inputs, outputs }: Artifact): string {
  const rows = (side: string, values: Artifact['inputs']): string[] =>
    values.map(({ name, dtype, shape }, i) => {
      const dims = shape?.map((dim) => dim ?? '?').join(', ') ?? 'any shape';
      return `/* ${side} ${i}: ${inComment(name)}, ${types[dtype]?.c}[${inComment(dims)}] */`;
    });
  return [...rows('input', inputs), ...rows('output', outputs)].join('\n');
}

/** test/cases.h: the recorded tensors, by their files. */
function cases({ golden }: Artifact): string {
  const entry = (
    file: string,
    { name, dtype, shape, bytes, tolerance: own }: GoldenTensor,
    ofCase: { rtol: number; atol: number },
  ): string => {
    const tolerance = own ?? ofCase;
    const { code = 'f', width = 4 } = types[dtype] ?? {};
    const dims = shape.length > 0 ? shape.join(', ') : '0';
    return `{${cString(name)}, ${cString(file)}, '${code}', ${width}, ${bytes.length}, ${shape.length}, {${dims}}, ${tolerance.rtol}, ${tolerance.atol}}`;
  };
  const rows = (side: 'input' | 'output'): string =>
    golden
      .map((one, n) => {
        const tensors = side === 'input' ? one.inputs : one.outputs;
        const list = tensors.map((tensor, i) => `    ${entry(`golden/${n}/${side}-${i}.bin`, tensor, one.tolerance)}`);
        return `  {\n${list.join(',\n')}}`;
      })
      .join(',\n');
  const [first] = golden;
  const table = (side: 'input' | 'output', count: number): string =>
    `static const tensor_case case_${side}s[${Math.max(1, golden.length)}][${Math.max(1, count)}] = {\n${rows(side) || '  {{0}}'}};\n`;
  return `/* The recorded inputs and outputs. Made by mlpack; do not edit. */
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char* name;
  const char* file;
  char type;
  size_t width;
  size_t bytes;
  size_t rank;
  int64_t dims[16];
  double rtol, atol;
} tensor_case;

#define CASES ${golden.length}

${table('input', first?.inputs.length ?? 0)}
${table('output', first?.outputs.length ?? 0)}`;
}

/** Bundle path → literal template. */
const templates: Readonly<Record<string, string>> = {
  'include/__LOWER__.h': 'c/include/model.h',
  'src/__LOWER__.c': 'c/src/model.c',
  'test/golden.c': 'c/test/golden.c',
  'CMakeLists.txt': 'c/CMakeLists.txt',
};

/** A library in C: ONNX Runtime's C API with the model linked in. */
export function* cBundle(artifact: Artifact): Iterable<BundleFile> {
  const name = cName(artifact.name);
  // Weights in files of their own are found by the path of the model, so that one stays a file.
  const external = artifact.files.length > 1;
  const types_ = (values: Artifact['inputs']): string =>
    values.map(({ dtype }) => `ONNX_TENSOR_ELEMENT_DATA_TYPE_${types[dtype]?.onnx}`).join(', ');
  const names = (values: Artifact['inputs']): string => values.map((value) => cString(value.name)).join(', ');
  const fill = (text: string): string =>
    text
      .replaceAll('__NAME__', artifact.name)
      .replaceAll('__SIGNATURE__', () => signature(artifact))
      .replaceAll('__INPUT_NAMES__', () => names(artifact.inputs))
      .replaceAll('__OUTPUT_NAMES__', () => names(artifact.outputs))
      .replaceAll('__INPUT_TYPES__', types_(artifact.inputs))
      .replaceAll('__INPUTS__', String(artifact.inputs.length))
      .replaceAll('__OUTPUTS__', String(artifact.outputs.length))
      .replaceAll('__EMBED__', external ? 'file' : 'incbin')
      .replaceAll('__UPPER__', name.toUpperCase())
      .replaceAll('__LOWER__', name);
  for (const [path, literal] of Object.entries(templates)) {
    const program = path.startsWith('src/') && artifact.golden.length > 0 ? { program: { format: 'ort-c' } } : {};
    yield { path: fill(path), bytes: fill(literalText('edge', literal)), ...program };
  }
  yield { path: 'cmake/array.cmake', from: literalPath('edge', 'c/cmake/array.cmake') };
  yield { path: 'test/cases.h', bytes: cases(artifact) };
  yield { path: 'src/model_data.S', from: literalPath('embedded-c', 'model.S') };
  for (const { name: file, source } of artifact.files)
    yield { path: `model/${file}`, from: source, ...(file === 'model.onnx' && { program: { format: 'onnx' } }) };
  if (!external) {
    yield { path: 'model/model.rs', from: literalPath('embedded-c', 'model.rs.txt') };
    // Go names a package after its folder.
    const go = literalText('embedded-c', 'model.go.txt').replaceAll('ackage source', 'ackage model');
    yield { path: 'model/model.go', bytes: go };
  }
  yield { path: 'README.md', bytes: readme(artifact, name, external) };
}

function readme(artifact: Artifact, name: string, external: boolean): string {
  const upper = name.toUpperCase();
  return `# ${artifact.name}: C library on ONNX Runtime

The model is part of the program${external ? ' but for its weights, which are in files of their own: the program reads `model/`' : ': there is no model file to ship'}. ONNX Runtime itself is linked as a library.

\`\`\`sh
export ORT_HOME=/opt/onnxruntime-linux-x64     # an unpacked release: include/ and lib/
cmake -B build && cmake --build build && ctest --test-dir build
\`\`\`

\`\`\`c
#include "${name}.h"

${name}* model;
char error[256];
if (${name}_open(&model, 0, error, sizeof error) != 0) …
${name}_input inputs[${upper}_INPUTS] = {…};      /* data, bytes, dims, rank; in the order of the header */
${name}_output outputs[${upper}_OUTPUTS];
${name}_run(model, inputs, outputs, error, sizeof error);
\`\`\`

| \`-DMODEL_EMBED=\` | how the model gets in |
|---|---|
| \`incbin\`${external ? '' : ' (default)'} | the assembler's \`.incbin\`: GCC and Clang, milliseconds, 64-byte aligned |
| \`object\` | \`ld -r -b binary\`, for tool chains whose assembler has no \`.incbin\`; unaligned |
| \`array\` (default of MSVC) | a C array that CMake writes; slow for large models |
| \`file\`${external ? ' (default)' : ''} | not at all: \`-DMODEL_FILE=/path/model.onnx\` is opened at run time |

\`test/golden.c\` replays ${artifact.golden.length} recorded inputs; \`ORT_HOME=… npx mlpack check .\` compiles and runs it as well, and says so when there is no ONNX Runtime.

One \`${name}\` is for one thread at a time; open several for more. For a small library build ONNX Runtime with the operators of this model only (\`--target mobile\` writes the configuration).
${external ? '' : '\nRust: `model/model.rs` (`include_bytes!`), Go: `model/model.go` (`//go:embed`).\n'}`;
}
