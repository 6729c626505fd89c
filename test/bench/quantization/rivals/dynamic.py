"""quantize_dynamic with its defaults, or with scales per channel."""
from feeds import options
from onnxruntime.quantization import QuantType, quantize_dynamic

model, out, _, given = options()
# Convolutions are left out: the dynamic form with signed weights is several times slower than float.
quantize_dynamic(
    model,
    out,
    weight_type=QuantType.QInt8,
    per_channel=given.get("per_channel") == "1",
    op_types_to_quantize=["MatMul", "Gemm", "LSTM", "Gather", "Attention", "EmbedLayerNormalization"],
)
