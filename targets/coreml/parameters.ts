import type { Ref } from './graph.ts';

/**
 * Parameters of the operations that are written here, by coremltools 9 (converters/mil/mil/ops/defs/iOS15). Letters say what a parameter is: `f` floats, all of an
 * operation of one type; `t` floats or integers, also of one type; `a` anything; `i` integers, `b` truth values, `s` a text. `c` behind it: a constant; `?`: it may be
 * left out; `*`: a list; `=`: of one type with the others that say so.
 */
const parameters: Readonly<Record<string, string>> = {
  ...each(
    'relu relu6 sigmoid tanh softplus softsign erf exp sqrt sin cos tan asin acos atan sinh cosh atanh floor ceil round',
    'x:f',
  ),
  ...each('abs sign', 'x:t'),
  ...each('add sub mul real_div pow mod maximum minimum equal greater greater_equal less less_equal', 'x:t y:t'),
  ...each('logical_and logical_or logical_xor', 'x:b y:b'),
  ...each(
    'reduce_mean reduce_sum reduce_max reduce_min reduce_prod reduce_l1_norm reduce_l2_norm',
    'x:t axes:ic? keep_dims:bc?',
  ),
  ...each('reduce_sum_square reduce_log_sum reduce_log_sum_exp', 'x:t axes:ic? keep_dims:bc?'),
  ...each('reduce_argmax reduce_argmin', 'x:t axis:ic? keep_dims:bc?'),
  identity: 'x:a',
  logical_not: 'x:b',
  log: 'x:f epsilon:fc?',
  clip: 'x:f alpha:fc beta:fc',
  leaky_relu: 'x:f alpha:fc',
  elu: 'x:f alpha:fc',
  prelu: 'x:f alpha:fc',
  sigmoid_hard: 'x:f alpha:fc beta:fc',
  gelu: 'x:f mode:sc?',
  softmax: 'x:f axis:ic?',
  cast: 'x:a dtype:sc',
  select: 'cond:b a:a= b:a=',
  conv: 'x:f weight:fc bias:fc? strides:ic? pad_type:sc? pad:ic? dilations:ic? groups:ic?',
  conv_transpose: 'x:f weight:fc bias:fc? strides:ic? pad_type:sc? pad:ic? dilations:ic? groups:ic? output_shape:ic?',
  max_pool: 'x:f kernel_sizes:ic strides:ic? pad_type:sc pad:ic? ceil_mode:bc?',
  avg_pool: 'x:f kernel_sizes:ic strides:ic? pad_type:sc pad:ic? ceil_mode:bc? exclude_padding_from_average:bc?',
  linear: 'x:f weight:fc bias:fc?',
  matmul: 'x:t y:t transpose_x:bc? transpose_y:bc?',
  reshape: 'x:a shape:i',
  expand_dims: 'x:a axes:ic',
  squeeze: 'x:a axes:ic?',
  transpose: 'x:a perm:ic',
  tile: 'x:a reps:i',
  gather: 'x:t indices:i axis:ic?',
  gather_along_axis: 'x:t indices:i axis:ic?',
  gather_nd: 'x:t indices:i',
  scatter_nd: 'data:t indices:i updates:t mode:sc?',
  slice_by_index: 'x:a begin:i end:i stride:ic? begin_mask:bc? end_mask:bc? squeeze_mask:bc?',
  split: 'x:a split_sizes:ic axis:ic',
  concat: 'values:a*= axis:ic interleave:bc?',
  pad: 'x:f pad:i mode:sc? constant_val:fc?',
  depth_to_space: 'x:f block_size:ic',
  space_to_depth: 'x:f block_size:ic',
  pixel_shuffle: 'x:f upscale_factor:ic',
  band_part: 'x:a lower:ic? upper:ic?',
  upsample_nearest_neighbor: 'x:f scale_factor_height:ic? scale_factor_width:ic?',
  resize_bilinear: 'x:f target_size_height:ic? target_size_width:ic? sampling_mode:sc?',
  topk: 'x:t k:ic? axis:ic? ascending:bc?',
  cumsum: 'x:t axis:ic? exclusive:bc? reverse:bc?',
  layer_norm: 'x:f axes:ic? gamma:fc? beta:fc? epsilon:fc?',
  instance_norm: 'x:f gamma:fc? beta:fc? epsilon:fc?',
  local_response_norm: 'x:f size:ic alpha:fc? beta:fc? k:fc?',
};

function each(names: string, text: string): Record<string, string> {
  return Object.fromEntries(names.split(' ').map((name) => [name, text]));
}

const groups: Readonly<Record<string, readonly string[]>> = {
  f: ['fp16', 'fp32'],
  t: ['fp16', 'fp32', 'int32'],
  a: ['fp16', 'fp32', 'int32', 'bool'],
  i: ['int32'],
  b: ['bool'],
  s: ['string'],
};

/** What is wrong with the parameters of an operation; undefined if nothing. */
export function checkParameters(
  type: string,
  inputs: Readonly<Record<string, readonly Ref[]>>,
  outputs: readonly Ref[],
): string | undefined {
  const text = Object.hasOwn(parameters, type) ? parameters[type] : undefined;
  if (text === undefined) return 'there is no such operation in the set that this version writes';
  const left = new Set(Object.keys(inputs));
  const shared = new Set<string>();
  for (const word of text.split(' ')) {
    const [name = '', kind = ''] = word.split(':');
    left.delete(name);
    const refs = inputs[name];
    if (!refs) {
      if (kind.includes('?')) continue;
      return `its parameter ${name} is missing`;
    }
    if (refs.length === 0 || (refs.length > 1 && !kind.includes('*')))
      return `its parameter ${name} takes one value and has ${refs.length}`;
    for (const ref of refs) {
      if (!groups[kind[0] ?? '']?.includes(ref.type)) return `its parameter ${name} cannot be ${ref.type}`;
      if (kind.includes('c') && ref.data === undefined) return `its parameter ${name} must be a constant`;
      if ('ft'.includes(kind[0] ?? '') || kind.includes('=')) shared.add(ref.type);
    }
  }
  if (left.size > 0) return `it has no parameter ${[...left].join(', ')}`;
  if (shared.size > 1) return `its values are ${[...shared].join(' and ')}, and must be of one type`;
  return outputs.length > 1 && type !== 'split' && type !== 'topk'
    ? `it makes one value, not ${outputs.length}`
    : undefined;
}
