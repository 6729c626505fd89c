/* __NAME__ on ONNX Runtime's C API. Made by mlpack; do not edit. */
#include "__LOWER__.h"

#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the bytes of the model are: linked in by model_data.S (or .c), by `ld -r -b binary`, or in a file. */
#if defined(__UPPER___FILE)
/* A path, in the encoding that ONNX Runtime takes here. */
#elif defined(__UPPER___OBJECT)
extern const unsigned char _binary_model_onnx_start[];
extern const unsigned char _binary_model_onnx_end[];
#define BEGIN _binary_model_onnx_start
#define SIZE ((size_t)(_binary_model_onnx_end - _binary_model_onnx_start))
#elif defined(__UPPER___ARRAY)
extern const unsigned char model_onnx[];
extern const size_t model_onnx_size;
#define BEGIN model_onnx
#define SIZE model_onnx_size
#else
extern const unsigned char model_onnx[];
extern const unsigned char model_onnx_end[];
#define BEGIN model_onnx
#define SIZE ((size_t)(model_onnx_end - model_onnx))
#endif

const char* const __LOWER___input_names[__UPPER___INPUTS] = {__INPUT_NAMES__};
const char* const __LOWER___output_names[__UPPER___OUTPUTS] = {__OUTPUT_NAMES__};
static const ONNXTensorElementDataType input_types[__UPPER___INPUTS] = {__INPUT_TYPES__};

struct __LOWER__ {
  const OrtApi* ort;
  OrtEnv* env;
  OrtSession* session;
  OrtMemoryInfo* memory;
  OrtValue* results[__UPPER___OUTPUTS];
};

/* Whether a call failed, with its words in `error`. */
static int failed(const OrtApi* ort, OrtStatus* status, char* error, size_t error_bytes) {
  if (status == NULL) return 0;
  if (error_bytes > 0) snprintf(error, error_bytes, "%s", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  return 1;
}

static size_t width_of(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
      return 1;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
      return 2;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
      return 8;
    default:
      return 4;
  }
}

static void release_results(__LOWER__* model) {
  for (size_t i = 0; i < __UPPER___OUTPUTS; ++i) {
    if (model->results[i] != NULL) model->ort->ReleaseValue(model->results[i]);
    model->results[i] = NULL;
  }
}

int __LOWER___open(__LOWER__** out, int threads, char* error, size_t error_bytes) {
  *out = NULL;
  const OrtApi* ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (ort == NULL) {
    if (error_bytes > 0) snprintf(error, error_bytes, "the library of ONNX Runtime is older than its header (%d)", ORT_API_VERSION);
    return 1;
  }
  __LOWER__* model = calloc(1, sizeof *model);
  if (model == NULL) {
    if (error_bytes > 0) snprintf(error, error_bytes, "out of memory");
    return 1;
  }
  model->ort = ort;
  OrtSessionOptions* options = NULL;
  int bad = failed(ort, ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "__LOWER__", &model->env), error, error_bytes) ||
            failed(ort, ort->CreateSessionOptions(&options), error, error_bytes) ||
            failed(ort, ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &model->memory), error, error_bytes);
  if (!bad && threads > 0) bad = failed(ort, ort->SetIntraOpNumThreads(options, threads), error, error_bytes);
#if defined(__UPPER___FILE)
  if (!bad) bad = failed(ort, ort->CreateSession(model->env, ORT_TSTR_ON_MACRO(__UPPER___FILE), options, &model->session), error, error_bytes);
#else
  if (!bad) bad = failed(ort, ort->CreateSessionFromArray(model->env, BEGIN, SIZE, options, &model->session), error, error_bytes);
#endif
  if (options != NULL) ort->ReleaseSessionOptions(options);
  if (bad) {
    __LOWER___close(model);
    return 1;
  }
  *out = model;
  return 0;
}

int __LOWER___run(__LOWER__* model, const __LOWER___input inputs[__UPPER___INPUTS], __LOWER___output outputs[__UPPER___OUTPUTS], char* error,
                  size_t error_bytes) {
  const OrtApi* ort = model->ort;
  OrtValue* feeds[__UPPER___INPUTS] = {NULL};
  int bad = 0;
  release_results(model);
  for (size_t i = 0; !bad && i < __UPPER___INPUTS; ++i)
    /* ONNX Runtime reads inputs in place and does not write to them. */
    bad = failed(ort,
                 ort->CreateTensorWithDataAsOrtValue(model->memory, (void*)inputs[i].data, inputs[i].bytes, inputs[i].dims, inputs[i].rank,
                                                     input_types[i], &feeds[i]),
                 error, error_bytes);
  if (!bad)
    bad = failed(ort,
                 ort->Run(model->session, NULL, __LOWER___input_names, (const OrtValue* const*)feeds, __UPPER___INPUTS, __LOWER___output_names,
                          __UPPER___OUTPUTS, model->results),
                 error, error_bytes);
  for (size_t i = 0; i < __UPPER___INPUTS; ++i)
    if (feeds[i] != NULL) ort->ReleaseValue(feeds[i]);
  for (size_t i = 0; !bad && i < __UPPER___OUTPUTS; ++i) {
    OrtTensorTypeAndShapeInfo* info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t count = 0;
    void* data = NULL;
    bad = failed(ort, ort->GetTensorTypeAndShape(model->results[i], &info), error, error_bytes) ||
          failed(ort, ort->GetTensorElementType(info, &type), error, error_bytes) ||
          failed(ort, ort->GetTensorShapeElementCount(info, &count), error, error_bytes) ||
          failed(ort, ort->GetDimensionsCount(info, &outputs[i].rank), error, error_bytes) ||
          failed(ort, ort->GetTensorMutableData(model->results[i], &data), error, error_bytes);
    if (!bad && outputs[i].rank > __UPPER___MAX_RANK) {
      if (error_bytes > 0) snprintf(error, error_bytes, "output %s has more than %d dimensions", __LOWER___output_names[i], __UPPER___MAX_RANK);
      bad = 1;
    }
    if (!bad) bad = failed(ort, ort->GetDimensions(info, outputs[i].dims, outputs[i].rank), error, error_bytes);
    if (info != NULL) ort->ReleaseTensorTypeAndShapeInfo(info);
    outputs[i].data = data;
    outputs[i].bytes = count * width_of(type);
  }
  return bad;
}

void __LOWER___close(__LOWER__* model) {
  if (model == NULL) return;
  release_results(model);
  if (model->session != NULL) model->ort->ReleaseSession(model->session);
  if (model->memory != NULL) model->ort->ReleaseMemoryInfo(model->memory);
  if (model->env != NULL) model->ort->ReleaseEnv(model->env);
  free(model);
}
