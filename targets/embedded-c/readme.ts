import type { Artifact } from '../../src/target/target.ts';
import type { Program } from './compile/compile.ts';
import { portNames } from './compile/print.ts';

/** README.md of the bundle. */
export function readme(artifact: Artifact, program: Program, prefix: string): string {
  const { memory, constants } = program;
  const flash = constants.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const upper = prefix.toUpperCase();
  const names = portNames([...program.inputs, ...program.outputs]);
  const types: Readonly<Record<string, string>> = {
    f32: 'float',
    i64: 'int64_t',
    i32: 'int32_t',
    i8: 'int8_t',
    u8: 'uint8_t',
  };
  const buffers = [...program.inputs, ...program.outputs].map(
    ({ ref }, i) =>
      `static ${types[ref.type] ?? ref.type} ${names[i]}[${upper}_${(names[i] ?? '').toUpperCase()}_COUNT];`,
  );
  return `# ${artifact.name}: C99

The \`${artifact.variant}\` variant of \`${artifact.name}\` as one C function. No runtime, no allocation, no library but \`math.h\`; any little-endian C99
compiler takes it.

\`\`\`c
#include "model.h"

${buffers.join('\n')}

/* fill the inputs, then */
${prefix}_run(${names.join(', ')});
\`\`\`

| | bytes |
|---|---|
| working memory (static, \`${upper}_ARENA_BYTES\`) | ${memory.bytes} |
| least that any plan of these steps needs | ${memory.lowerBound} |
| weights (constant, stay in flash) | ${flash} |

\`memory.json\` says what lies where and when. Inputs and outputs are the caller's.

## Build and test

\`\`\`sh
cmake -B build && cmake --build build && ctest --test-dir build
\`\`\`

or without CMake:

\`\`\`sh
cc -std=c99 -O3 -march=native model.c test/golden.c -lm -o golden-test && ./golden-test golden
\`\`\`

\`test/golden.c\` holds the outputs against those that ONNX Runtime gave for ${artifact.golden.length} recorded inputs; \`npx mlpack check .\` compiles and runs it.

For other processors:

\`\`\`sh
aarch64-linux-gnu-gcc -std=c99 -O3 -c model.c
arm-none-eabi-gcc -std=c99 -Os -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -c model.c
\`\`\`

- Vectors come from the compiler's own (\`vector_size\` of GCC and Clang): AVX-512, AVX, SSE or NEON, whichever the flags allow. \`-DMODEL_LANES=0\` takes
  plain loops, which is the default on Cortex-M and on other compilers.
- Without \`-ffast-math\`: rounding relies on the order of two additions.
- The function works in static memory, so it is not reentrant.
- Compilers may turn loops into calls of \`memcpy\` and \`memset\`; a freestanding system has to have these two.
- \`source/\` holds the ONNX model that the code was made from. The device does not need it.

## On a host with ONNX Runtime

\`source/\` also puts the ONNX model itself into a program, without a file to ship: \`model.S\` and \`model_onnx.h\` for C and C++ (\`cc -c -I source source/model.S\`, then
\`CreateSessionFromArray(env, model_onnx, MODEL_ONNX_SIZE, …)\`), \`model.rs\` for Rust, \`model.go\` for Go. They are left out where the weights are in files of their own.
`;
}
