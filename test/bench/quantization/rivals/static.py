"""quantize_static after the recommended preprocessing: QDQ, U8 activations, S8 weights per channel where the opset allows."""
import os
import tempfile

import onnx
from feeds import options, read
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(CalibrationDataReader):
    def __init__(self, folder):
        self.samples = read(folder)

    def get_next(self):
        return next(self.samples, None)


model, out, feeds, given = options()
with tempfile.TemporaryDirectory() as folder:
    prepared = os.path.join(folder, "prepared.onnx")
    # Scales per channel need opset 13: below it the tool writes files that the runtime refuses.
    opset = next(one.version for one in onnx.load(model, load_external_data=False).opset_import if one.domain in ("", "ai.onnx"))
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
