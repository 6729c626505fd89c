"""quantize_static after the recommended preprocessing: QDQ, U8 activations, S8 weights per channel."""
import os
import sys
import tempfile

import onnx
import onnx.version_converter
from feeds import options, read
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(CalibrationDataReader):
    def __init__(self, folder):
        self.samples = read(folder)

    def get_next(self):
        return next(self.samples, None)


def opset_of(proto):
    return next(one.version for one in proto.opset_import if one.domain in ("", "ai.onnx"))


model, out, feeds, given = options()
with tempfile.TemporaryDirectory() as folder:
    prepared = os.path.join(folder, "prepared.onnx")
    # Scales per channel need opset 13: below it the tool writes files that the runtime refuses. So the model is raised first, where that can be.
    opset = opset_of(onnx.load(model, load_external_data=False))
    if opset < 13:
        try:
            raised = os.path.join(folder, "raised.onnx")
            onnx.save(onnx.version_converter.convert_version(onnx.load(model), 13), raised)
            model, opset = raised, 13
        except Exception as error:
            print(f"opset 13 failed ({error}); one scale for each weight", file=sys.stderr)
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        Reader(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=opset >= 13,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[given.get("method", "MinMax")],
    )
