/**
 * What ONNX Runtime 1.30 accepts (found by trying): a model beyond these loads here and not there.
 */
export const runtimeCeilings = {
  runtime: 'ONNX Runtime 1.30',
  irVersion: 13,
  /** Highest opset of each official domain; '' is ai.onnx. */
  opsets: new Map([
    ['', 26],
    ['ai.onnx.ml', 5],
    ['ai.onnx.training', 1],
    ['ai.onnx.preview', 1],
    ['ai.onnx.preview.training', 1],
    ['com.microsoft', 1],
  ]) as ReadonlyMap<string, number>,
} as const;
