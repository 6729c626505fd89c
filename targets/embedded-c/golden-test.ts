import type { Tolerance } from '../../src/target/compare.ts';
import type { GoldenCase } from '../../src/target/target.ts';
import { widest } from '../../src/target/tolerance.ts';
import type { Program } from './compile/compile.ts';
import { floatLiteral, sizeOf } from './compile/types.ts';

/**
 * test/golden.c: reads the recorded inputs, runs the model and holds its outputs against the recorded ones. With a second argument it also
 * writes what it got (`<dir>/<case>-<output>.bin`), with a third it times that many runs, and a fourth says how many cases there are.
 */
export function goldenTest(program: Program, prefix: string, cases: readonly GoldenCase[]): string {
  const declare = (name: string, ports: Program['inputs']): string =>
    ports
      .map(
        ({ ref }, i) =>
          `static union { unsigned char bytes[${Math.max(1, ref.block.bytes)}]; float f; int64_t i; } ${name}${i}${name === 'out' ? `, want${i}` : ''};`,
      )
      .join('\n');
  const types: Readonly<Record<string, string>> = {
    f32: 'float',
    i8: 'int8_t',
    u8: 'uint8_t',
    i16: 'int16_t',
    u16: 'uint16_t',
    i32: 'int32_t',
    u32: 'uint32_t',
    i64: 'int64_t',
  };
  const given = [
    ...program.inputs.map(({ ref }, i) => `(const ${types[ref.type]}*)(const void*)in${i}.bytes`),
    ...program.outputs.map(({ ref }, i) => `(${types[ref.type]}*)(void*)out${i}.bytes`),
  ];
  const toleranceOf = (output: number): Tolerance =>
    widest(cases.map((one) => one.outputs[output]?.tolerance ?? one.tolerance));
  const reads = program.inputs.map(
    ({ ref }, i) => `    if (!load(dir, c, "input", ${i}, in${i}.bytes, ${ref.block.bytes})) return 2;`,
  );
  const checks = program.outputs.map(({ ref }, i) => {
    const count = ref.shape.reduce((a, b) => a * b, 1);
    const { rtol, atol } = toleranceOf(i);
    return `    if (!load(dir, c, "output", ${i}, want${i}.bytes, ${count * sizeOf(ref.type)})) return 2;
    if (to && !save(to, c, ${i}, out${i}.bytes, ${count * sizeOf(ref.type)})) return 2;
    {
      const ${types[ref.type]}* got = (const ${types[ref.type]}*)(const void*)out${i}.bytes;
      const ${types[ref.type]}* want = (const ${types[ref.type]}*)(const void*)want${i}.bytes;
      double scale = 0.0, worst = 0.0;
      for (int k = 0; k < ${count}; ++k) if (fabs((double)want[k]) > scale && fabs((double)want[k]) < 1e300) scale = fabs((double)want[k]);
      for (int k = 0; k < ${count}; ++k) {
        const double g = (double)got[k], w = (double)want[k], d = fabs(g - w);
        if (g == w || (isnan(g) && isnan(w))) continue;
        if (!(d <= ${floatLiteral(atol)} + ${floatLiteral(rtol)} * scale)) failed = 1;
        if (d > worst || isnan(d)) worst = d;
      }
      printf("case %d output ${i}: largest difference %g of %g\\n", c, worst, scale);
    }`;
  });
  return `/* Holds the model against what ONNX Runtime gave for the recorded inputs. Made by mlpack; do not edit. */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../model.h"

${declare('in', program.inputs)}
${declare('out', program.outputs)}

static int load(const char* dir, int c, const char* role, int n, unsigned char* to, size_t bytes) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%d/%s-%d.bin", dir, c, role, n);
  FILE* file = fopen(path, "rb");
  if (!file) { fprintf(stderr, "cannot open %s\\n", path); return 0; }
  const size_t got = fread(to, 1, bytes, file);
  fclose(file);
  if (got != bytes) fprintf(stderr, "%s has %zu bytes instead of %zu\\n", path, got, bytes);
  return got == bytes;
}

static int save(const char* dir, int c, int n, const unsigned char* from, size_t bytes) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%d-%d.bin", dir, c, n);
  FILE* file = fopen(path, "wb");
  if (!file) { fprintf(stderr, "cannot write %s\\n", path); return 0; }
  const size_t put = fwrite(from, 1, bytes, file);
  return fclose(file) == 0 && put == bytes;
}

static void run(void) { ${prefix}_run(${given.join(', ')}); }

int main(int argc, char** argv) {
  const char* dir = argc > 1 ? argv[1] : "golden";
  const char* to = argc > 2 ? argv[2] : 0;
  const int cases = argc > 4 ? atoi(argv[4]) : ${cases.length};
  int failed = 0;
  for (int c = 0; c < cases; ++c) {
${reads.join('\n')}
    run();
${checks.join('\n')}
  }
  if (argc > 3) {
    const int times = atoi(argv[3]);
    for (int i = 0; i < times; ++i) {
      struct timespec a, b;
      clock_gettime(CLOCK_MONOTONIC, &a);
      run();
      clock_gettime(CLOCK_MONOTONIC, &b);
      printf("ns %lld\\n", (long long)(b.tv_sec - a.tv_sec) * 1000000000LL + (b.tv_nsec - a.tv_nsec));
    }
  }
  return failed;
}
`;
}
