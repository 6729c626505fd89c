/* Holds the model against what was recorded when the bundle was made: golden <bundle> [<folder for outputs> [<case>]]. Made by mlpack; do not edit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "__LOWER__.h"
#include "cases.h"

static unsigned char* load(const char* root, const char* name, size_t bytes) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", root, name);
  FILE* file = fopen(path, "rb");
  unsigned char* data = malloc(bytes > 0 ? bytes : 1);
  if (file == NULL || data == NULL || fread(data, 1, bytes, file) != bytes) {
    fprintf(stderr, "cannot read %zu bytes of %s\n", bytes, path);
    exit(2);
  }
  fclose(file);
  return data;
}

static void save(const char* dir, int number, int output, const __LOWER___output* got) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%d-%d.bin", dir, number, output);
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(got->data, 1, got->bytes, file) != got->bytes || fclose(file) != 0) {
    fprintf(stderr, "cannot write %s\n", path);
    exit(2);
  }
  snprintf(path, sizeof path, "%s/%d-%d.dims", dir, number, output);
  file = fopen(path, "w");
  if (file == NULL) exit(2);
  for (size_t i = 0; i < got->rank; ++i) fprintf(file, "%lld ", (long long)got->dims[i]);
  if (fclose(file) != 0) exit(2);
}

static double half(unsigned bits) {
  const int exponent = (int)((bits >> 10) & 31u);
  const double mantissa = (double)(bits & 1023u);
  const double value = exponent == 0    ? ldexp(mantissa, -24)
                       : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                        : ldexp(1024.0 + mantissa, exponent - 25);
  return (bits & 0x8000u) != 0 ? -value : value;
}

/* memcpy: a buffer of bytes need not be aligned for its elements. */
#define READ(type) do { type v; memcpy(&v, data + i * sizeof v, sizeof v); return (double)v; } while (0)

static double value_at(char type, const unsigned char* data, size_t i) {
  switch (type) {
    case 'f': READ(float);
    case 'd': READ(double);
    case 'b': READ(int8_t);
    case 'B': READ(uint8_t);
    case 'h': READ(int16_t);
    case 'H': READ(uint16_t);
    case 'i': READ(int32_t);
    case 'I': READ(uint32_t);
    case 'q': READ(int64_t);
    case 'Q': READ(uint64_t);
    default: {
      uint16_t v;
      memcpy(&v, data + i * sizeof v, sizeof v);
      return half(v);
    }
  }
}

static int differs(int number, const tensor_case* want, const __LOWER___output* got, const char* root) {
  if (got->rank != want->rank || got->bytes != want->bytes || (want->rank > 0 && memcmp(got->dims, want->dims, want->rank * sizeof(int64_t)) != 0)) {
    printf("case %d, %s: another shape than recorded\n", number, want->name);
    return 1;
  }
  unsigned char* expected = load(root, want->file, want->bytes);
  const size_t count = want->bytes / want->width;
  double scale = 0, worst = 0;
  int bad = 0;
  for (size_t i = 0; i < count; ++i) {
    const double e = value_at(want->type, expected, i);
    if (isfinite(e) && fabs(e) > scale) scale = fabs(e);
  }
  for (size_t i = 0; i < count; ++i) {
    const double e = value_at(want->type, expected, i), g = value_at(want->type, got->data, i);
    if (e == g || (isnan(e) && isnan(g))) continue;
    const double difference = fabs(e - g);
    if (!(difference <= want->atol + want->rtol * scale)) bad = 1;
    if (difference > worst) worst = difference;
  }
  printf("case %d, %s: largest difference %g of %g%s\n", number, want->name, worst, scale, bad ? ", too much" : "");
  free(expected);
  return bad;
}

int main(int argc, char** argv) {
  const char* root = argc > 1 ? argv[1] : ".";
  const char* to = argc > 2 ? argv[2] : NULL;
  const int only = argc > 3 ? atoi(argv[3]) : -1;
  char error[1024];
  __LOWER__* model = NULL;
  if (__LOWER___open(&model, 0, error, sizeof error) != 0) {
    fprintf(stderr, "%s\n", error);
    return 2;
  }
  int bad = 0;
  for (int number = 0; number < CASES; ++number) {
    if (only >= 0 && only != number) continue;
    __LOWER___input inputs[__UPPER___INPUTS];
    __LOWER___output outputs[__UPPER___OUTPUTS];
    for (int i = 0; i < __UPPER___INPUTS; ++i) {
      const tensor_case* one = &case_inputs[number][i];
      inputs[i].data = load(root, one->file, one->bytes);
      inputs[i].bytes = one->bytes;
      inputs[i].dims = one->dims;
      inputs[i].rank = one->rank;
    }
    if (__LOWER___run(model, inputs, outputs, error, sizeof error) != 0) {
      fprintf(stderr, "case %d: %s\n", number, error);
      return 2;
    }
    for (int i = 0; i < __UPPER___OUTPUTS; ++i) {
      if (to != NULL) save(to, number, i, &outputs[i]);
      bad |= differs(number, &case_outputs[number][i], &outputs[i], root);
    }
    for (int i = 0; i < __UPPER___INPUTS; ++i) free((void*)inputs[i].data);
  }
  __LOWER___close(model);
  return bad;
}
