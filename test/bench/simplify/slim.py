# OnnxSlim on one file, for ../node-counts.mjs: slim.py SOURCE OUT. Prints `ms N` (import not counted).
import sys
import time

import onnx
import onnxslim

start = time.perf_counter()
onnx.save(onnxslim.slim(onnx.load(sys.argv[1])), sys.argv[2])
print("ms", 1000 * (time.perf_counter() - start))
