import type { Site } from '../site.ts';
import { attention, multiHeadAttention, rotary } from './attention.ts';
import { batchNorm, conv, convTranspose, groupNorm, instanceNorm, pool } from './conv.ts';
import { broadcast, broadcastOps, castLike, unary, unaryOps } from './elementwise.ts';
import {
  concat,
  constantOfShape,
  depthToSpace,
  expand,
  gather,
  pad,
  resize,
  shape,
  slice,
  split,
  tile,
  transpose,
} from './layout.ts';
import { einsum, gemm, matMul } from './linear.ts';
import { alongAxis, layerNorm, picks, reduce, skipNorm, softmax } from './norm.ts';
import { recurrent } from './recurrent.ts';
import { refold, reshape } from './reshape.ts';

type Rule = (site: Site) => void;

/** Its numbers are cut as its readers say. */
const constant: Rule = (site) => site.free(...(site.output()?.axes ?? []));

const rules = new Map<string, Rule>([
  ...unaryOps.map((op): [string, Rule] => [op, unary]),
  ...broadcastOps.map((op): [string, Rule] => [op, broadcast]),
  ['CastLike', castLike],
  ['Conv', conv],
  ['ConvTranspose', convTranspose],
  ['MaxPool', pool],
  ['AveragePool', pool],
  ['LpPool', pool],
  ['GlobalAveragePool', pool],
  ['GlobalMaxPool', pool],
  ['GlobalLpPool', pool],
  ['BatchNormalization', batchNorm],
  ['InstanceNormalization', instanceNorm],
  ['GroupNormalization', groupNorm],
  ['MatMul', matMul],
  ['Gemm', gemm],
  ['Einsum', einsum],
  ['Transpose', transpose],
  ['Reshape', reshape],
  ['Flatten', refold],
  ['Squeeze', refold],
  ['Unsqueeze', refold],
  ['Concat', concat],
  ['Split', split],
  ['Slice', slice],
  ['Gather', gather],
  ['Pad', pad],
  ['Expand', expand],
  ['Tile', tile],
  ['ConstantOfShape', constantOfShape],
  ['Resize', resize],
  ['Upsample', resize],
  ['DepthToSpace', depthToSpace],
  ['SpaceToDepth', depthToSpace],
  ['Shape', shape],
  ['Constant', constant],
  ['LayerNormalization', layerNorm],
  ['RMSNormalization', layerNorm],
  ['SimplifiedLayerNormalization', layerNorm],
  ['Softmax', softmax],
  ['LogSoftmax', softmax],
  ['Hardmax', softmax],
  ['LpNormalization', alongAxis],
  ['CumSum', alongAxis],
  ['ArgMax', picks],
  ['ArgMin', picks],
  ['TopK', picks],
  ...['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp'].map((op): [string, Rule] => [
    `Reduce${op}`,
    reduce,
  ]),
  ['LSTM', recurrent],
  ['GRU', recurrent],
  ['RNN', recurrent],
  ['Attention', attention],
  ['RotaryEmbedding', rotary],
  ['com.microsoft.MultiHeadAttention', multiHeadAttention],
  ['com.microsoft.Gelu', unary],
  ['com.microsoft.QuickGelu', unary],
  ['com.microsoft.FastGelu', broadcast],
  ['com.microsoft.BiasGelu', broadcast],
  ['com.microsoft.SkipLayerNormalization', skipNorm],
  ['com.microsoft.SkipSimplifiedLayerNormalization', skipNorm],
]);

const quantized = /Quantize|Integer|^Q[A-Z]|NBits|Bnb4/;

/** Tells how the axes around a node hang together; what no rule is known for blocks them, by name. */
export function tell(site: Site): void {
  const { node } = site;
  const rule = rules.get(node.domain ? `${node.domain}.${node.op}` : node.op);
  if (node.subgraphs.length > 0) site.blockAll(`${node} takes it into a subgraph`);
  else if (quantized.test(node.op)) site.blockAll(`${node} works on quantized numbers: prune before quantizing`);
  else if (!rule) site.blockAll(`no rule says what ${node} does along its axes`);
  else if (!site.isKnown) site.blockAll(`not all shapes at ${node} are known`);
  else {
    rule(site);
    site.blockUntold();
  }
}
