# Writes a file as a C array of bytes: cmake -DMODEL=model.onnx -DOUT=model_data.c -P array.cmake. Slow to compile for large models; .incbin is not.
file(READ ${MODEL} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],))" "\\1\n" bytes "${bytes}")
file(SIZE ${MODEL} size)
file(WRITE ${OUT} "#include <stddef.h>
#ifdef _MSC_VER
#define ALIGNED __declspec(align(64))
#else
#define ALIGNED __attribute__((aligned(64)))
#endif
extern const unsigned char model_onnx[];
extern const size_t model_onnx_size;
const size_t model_onnx_size = ${size};
ALIGNED const unsigned char model_onnx[] = {
${bytes}
0};
")
