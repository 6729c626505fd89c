/* What model.S puts into the program: give model_onnx and MODEL_ONNX_SIZE to CreateSessionFromArray of ONNX Runtime's C API. */
#ifndef MODEL_ONNX_H
#define MODEL_ONNX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 64-byte aligned. */
extern const unsigned char model_onnx[];
extern const unsigned char model_onnx_end[];
#define MODEL_ONNX_SIZE ((size_t)(model_onnx_end - model_onnx))

#ifdef __cplusplus
}
#endif

#endif
