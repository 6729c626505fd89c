"""MatMulNBits by onnxruntime's matmul_nbits_quantizer: rtn, k_quant or hqq, 4 bits, blocks of 32, accuracy level 4."""
import onnx
from feeds import options
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    HQQWeightOnlyQuantConfig,
    KQuantWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

model, out, _, given = options()
method = given.get("method", "rtn")
if method == "rtn":
    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=False, accuracy_level=4)
elif method == "hqq":
    config = HQQWeightOnlyQuantConfig(block_size=32, bits=4)
else:
    config = KQuantWeightOnlyQuantConfig()
quantizer = MatMulNBitsQuantizer(
    onnx.load(model), block_size=32, is_symmetric=False, accuracy_level=4, algo_config=config
)
quantizer.process()
quantizer.model.save_model_to_file(out, False)
