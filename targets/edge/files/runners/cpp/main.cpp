// One inference in C++: run <raw elements of each input…>, outputs as text. For float32 inputs; free dimensions count as 1.
// g++ -std=c++17 -I$ORT_HOME/include runners/cpp/main.cpp -L$ORT_HOME/lib -lonnxruntime -o run, then from the folder of the bundle: ./run x.bin

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

static const OrtApi* ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);

static void check(OrtStatus* status) {
  if (status == nullptr) return;
  std::fprintf(stderr, "%s\n", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  std::exit(1);
}

static std::vector<int64_t> shape_of(const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  check(ort->GetDimensionsCount(info, &rank));
  std::vector<int64_t> shape(rank);
  check(ort->GetDimensions(info, shape.data(), rank));
  for (int64_t& dim : shape)
    if (dim < 0) dim = 1;
  return shape;
}

int main(int argc, char** argv) {
  if (ort == nullptr) {
    std::fprintf(stderr, "the library of ONNX Runtime is older than its header\n");
    return 2;
  }
  OrtEnv* env = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  OrtAllocator* allocator = nullptr;
  OrtMemoryInfo* memory = nullptr;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "run", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->CreateSession(env, ORT_TSTR("__MODEL__"), options, &session));
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

  size_t inputs = 0, outputs = 0;
  check(ort->SessionGetInputCount(session, &inputs));
  check(ort->SessionGetOutputCount(session, &outputs));
  if (static_cast<size_t>(argc) != inputs + 1) {
    std::fprintf(stderr, "usage: run with one file of raw elements for each of the %zu inputs\n", inputs);
    return 2;
  }
  std::vector<char*> input_names(inputs), output_names(outputs);
  std::vector<OrtValue*> feeds(inputs, nullptr), results(outputs, nullptr);
  std::vector<std::vector<char>> bytes(inputs);
  for (size_t i = 0; i < inputs; ++i) {
    check(ort->SessionGetInputName(session, i, allocator, &input_names[i]));
    OrtTypeInfo* type = nullptr;
    const OrtTensorTypeAndShapeInfo* info = nullptr;
    ONNXTensorElementDataType element;
    check(ort->SessionGetInputTypeInfo(session, i, &type));
    check(ort->CastTypeInfoToTensorInfo(type, &info));
    check(ort->GetTensorElementType(info, &element));
    const std::vector<int64_t> shape = shape_of(info);
    std::ifstream file(argv[i + 1], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i + 1]);
      return 2;
    }
    bytes[i].assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    check(ort->CreateTensorWithDataAsOrtValue(memory, bytes[i].data(), bytes[i].size(), shape.data(), shape.size(), element, &feeds[i]));
    ort->ReleaseTypeInfo(type);
  }
  for (size_t i = 0; i < outputs; ++i) check(ort->SessionGetOutputName(session, i, allocator, &output_names[i]));
  check(ort->Run(session, nullptr, input_names.data(), feeds.data(), inputs, output_names.data(), outputs, results.data()));
  for (size_t i = 0; i < outputs; ++i) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    ONNXTensorElementDataType element;
    size_t count = 0;
    void* data = nullptr;
    check(ort->GetTensorTypeAndShape(results[i], &info));
    check(ort->GetTensorElementType(info, &element));
    check(ort->GetTensorShapeElementCount(info, &count));
    check(ort->GetTensorMutableData(results[i], &data));
    std::printf("%s", output_names[i]);
    for (size_t k = 0; k < count; ++k) {
      if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) std::printf(" %.9g", static_cast<double>(static_cast<float*>(data)[k]));
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) std::printf(" %lld", static_cast<long long>(static_cast<int64_t*>(data)[k]));
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE) std::printf(" %.17g", static_cast<double*>(data)[k]);
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) std::printf(" %d", static_cast<int32_t*>(data)[k]);
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8) std::printf(" %d", static_cast<int8_t*>(data)[k]);
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8) std::printf(" %d", static_cast<uint8_t*>(data)[k]);
      else if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL) std::printf(" %d", static_cast<bool*>(data)[k] ? 1 : 0);
      else {
        std::printf(" %zu elements of type %d, which are not printed here", count, static_cast<int>(element));
        break;
      }
    }
    std::printf("\n");
    ort->ReleaseTensorTypeAndShapeInfo(info);
    ort->ReleaseValue(results[i]);
    check(ort->AllocatorFree(allocator, output_names[i]));
  }
  for (size_t i = 0; i < inputs; ++i) {
    ort->ReleaseValue(feeds[i]);
    check(ort->AllocatorFree(allocator, input_names[i]));
  }
  ort->ReleaseMemoryInfo(memory);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(env);
  return 0;
}
