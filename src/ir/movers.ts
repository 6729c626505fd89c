/**
 * Operators whose outputs hold nothing but values of their first input. ONNX Runtime runs them on integers as they are, when
 * input and output share scale and zero point.
 */
export const movers: ReadonlySet<string> = new Set([
  'MaxPool',
  'Transpose',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Slice',
  'Gather',
  'GatherElements',
  'Expand',
  'Tile',
  'Resize',
  'ReduceMax',
  'ReduceMin',
  'DepthToSpace',
  'Split',
]);
