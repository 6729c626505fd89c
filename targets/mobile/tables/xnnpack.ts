import type { OperatorTable } from './operator-table.ts';

/** XNNPACK (documentation of the provider, onnxruntime.ai; the page names no release). */
export const xnnpack: OperatorTable = {
  'ai.onnx:AveragePool': 'Only 2D Pool is supported.',
  'ai.onnx:Conv': 'Only 2D Conv is supported. Weights and bias should be constant.',
  'ai.onnx:ConvTranspose': 'Only 2D ConvTranspose is supported. Weights and bias should be constant.',
  'ai.onnx:Gemm': 'Only 2D.',
  'ai.onnx:MatMul': 'Only 2D.',
  'ai.onnx:MaxPool': 'Only 2D Pool is supported.',
  'ai.onnx:QLinearConv': 'Only 2D Conv is supported. Weights, bias, scales and zero points should be constant.',
  'ai.onnx:Resize': 'Only bilinear, 2D.',
  'ai.onnx:Softmax': 'From opset 13 on only over the last axis.',
  'com.microsoft:QLinearAveragePool': 'Only 2D Pool is supported. Scales and zero points should be constant.',
  'com.microsoft:QLinearConvTranspose': 'Scales and zero points should be constant.',
  'com.microsoft:QLinearSoftmax': 'Scales and zero points should be constant.',
};
