"""Quantizes one model with ONNX Runtime's own tools: python ort_static.py job.json

The job names a model, a folder of calibration batches (`<batch>.<input>.npy`), and the variants wanted. Prints one JSON line per
variant: the file, wall time from the start of the interpreter, and the peak of resident memory so far.
"""
import json, os, resource, sys, time

started = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - float(open("/proc/self/stat").read().split()[21]) / os.sysconf("SC_CLK_TCK"))

import numpy as np
import onnx
import onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

job = json.load(open(sys.argv[1]))
names = job["inputs"]


class Reader(CalibrationDataReader):
    def __init__(self):
        self.at = 0

    def get_next(self):
        if self.at >= job["batches"]:
            return None
        feeds = {name: np.load(os.path.join(job["data"], f"{self.at}.{i}.npy")) for i, name in enumerate(names)}
        self.at += 1
        return feeds


prepared = job["out"] + ".prepared.onnx"
raised = job["out"] + ".13.onnx"
try:
    # DequantizeLinear has an axis from opset 13 on; older files get per-channel scales that do not load.
    model = onnx.load(job["model"])
    if any(entry.domain in ("", "ai.onnx") and entry.version < 13 for entry in model.opset_import):
        onnx.save(onnx.version_converter.convert_version(model, 13), raised)
        job["model"] = raised
except Exception as error:
    print(f"opset 13 failed ({error})", file=sys.stderr)
    job["perChannel"] = False
try:
    quant_pre_process(job["model"], prepared, skip_symbolic_shape=job.get("skipSymbolic", False))
except Exception as error:
    print(f"pre-processing failed ({error}); quantizing the model as it is", file=sys.stderr)
    prepared = job["model"]



def quantize(per_channel):
    quantize_static(
        prepared,
        job["out"],
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        reduce_range=job["reduceRange"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[job["method"]],
    )


failure = None
note = None
try:
    try:
        quantize(job["perChannel"])
    except Exception as error:
        if not job["perChannel"]:
            raise
        note = "per tensor"
        print(f"per channel failed: {error}", file=sys.stderr)
        quantize(False)
except Exception as error:
    failure = f"{type(error).__name__}: {error}"[:200]
print(json.dumps({
    "seconds": time.time() - started,
    "rssMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "failure": failure,
    "note": note,
}))
