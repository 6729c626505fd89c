"""MatMulNBits by onnxruntime's matmul_nbits_quantizer: rtn, k_quant, hqq or gptq, 4 bits, blocks of 32, accuracy level 4."""
import onnx
from feeds import options, read
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    GPTQWeightOnlyQuantConfig,
    HQQWeightOnlyQuantConfig,
    KQuantWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)


class Reader(CalibrationDataReader):
    """Samples in a list, since the tool copies the reader."""

    def __init__(self, folder):
        self.samples = list(read(folder))

    def get_next(self):
        return self.samples.pop(0) if self.samples else None


model, out, feeds, given = options()
method = given.get("method", "rtn")
if method == "rtn":
    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=False, accuracy_level=4)
elif method == "hqq":
    config = HQQWeightOnlyQuantConfig(block_size=32, bits=4)
elif method == "gptq":
    config = GPTQWeightOnlyQuantConfig(calibration_data_reader=Reader(feeds), block_size=32)
else:
    config = KQuantWeightOnlyQuantConfig()
quantizer = MatMulNBitsQuantizer(
    onnx.load(model), block_size=32, is_symmetric=False, accuracy_level=4, algo_config=config
)
quantizer.process()
quantizer.model.save_model_to_file(out, False)
