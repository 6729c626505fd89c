/* __NAME__: the model on ONNX Runtime, linked into the program. Made by mlpack; do not edit. */
#ifndef __UPPER___H
#define __UPPER___H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define __UPPER___INPUTS __INPUTS__
#define __UPPER___OUTPUTS __OUTPUTS__
#define __UPPER___MAX_RANK 16

/* In this order inputs are given and outputs come; sizes are in bytes, elements in the machine's order. */
__SIGNATURE__
extern const char* const __LOWER___input_names[__UPPER___INPUTS];
extern const char* const __LOWER___output_names[__UPPER___OUTPUTS];

typedef struct __LOWER__ __LOWER__;

typedef struct {
  const void* data;
  size_t bytes;
  const int64_t* dims;
  size_t rank;
} __LOWER___input;

/* Valid until the next run, or until the model is closed. */
typedef struct {
  const void* data;
  size_t bytes;
  int64_t dims[__UPPER___MAX_RANK];
  size_t rank;
} __LOWER___output;

/* 0, or 1 with a sentence in `error`. `threads` of one run, 0: all cores. One model is for one thread at a time. */
int __LOWER___open(__LOWER__** model, int threads, char* error, size_t error_bytes);
int __LOWER___run(__LOWER__* model, const __LOWER___input inputs[__UPPER___INPUTS], __LOWER___output outputs[__UPPER___OUTPUTS], char* error,
                  size_t error_bytes);
void __LOWER___close(__LOWER__* model);

#ifdef __cplusplus
}
#endif

#endif
