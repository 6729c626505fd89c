"""float16.py of onnxruntime.transformers, keeping the types of inputs and outputs."""
import onnx
from feeds import options
from onnxruntime.transformers.float16 import convert_float_to_float16

model, out, _, _ = options()
onnx.save(convert_float_to_float16(onnx.load(model), keep_io_types=True), out)
