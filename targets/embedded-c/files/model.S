/* The ONNX model as bytes in the program, for a host with ONNX Runtime: assemble with the folder of model.onnx in the search path,
   cc -c -I source source/model.S. Names and size are in model_onnx.h. GCC and Clang; ELF, Mach-O and COFF. */
#if defined(__APPLE__)
  .const
#define NAME(x) _##x
#elif defined(_WIN32)
  .section .rdata, "dr"
#define NAME(x) x
#else
  .section .rodata
#define NAME(x) x
#endif
  .balign 64
  .globl NAME(model_onnx)
NAME(model_onnx):
  .incbin "model.onnx"
  .globl NAME(model_onnx_end)
NAME(model_onnx_end):
  .byte 0
#if defined(__linux__) && defined(__ELF__)
  .section .note.GNU-stack, "", %progbits
#endif
