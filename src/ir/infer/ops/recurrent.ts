import { exactDivDims } from '../../dim.ts';
import type { Dim } from '../../types.ts';
import type { Rule, RuleTable } from '../context.ts';

/** RNN, GRU, LSTM: Y [seq, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden]; layout 1 puts batch first. */
const recurrent: Rule = (ctx) => {
  const x = ctx.shape(0);
  const batchFirst = ctx.int('layout', 0) === 1;
  const [seq, batch] = batchFirst ? [x?.[1], x?.[0]] : [x?.[0], x?.[1]];
  const directions = ctx.text('direction') === 'bidirectional' ? 2 : 1;
  const hidden: Dim = ctx.int('hidden_size') ?? ctx.shape(2)?.[2];
  const dtype = ctx.dtype(0);
  ctx.set(0, dtype, batchFirst ? [batch, seq, directions, hidden] : [seq, directions, batch, hidden]);
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  ctx.set(1, dtype, state);
  if (ctx.node.op !== 'RNN' && ctx.node.op !== 'GRU') ctx.set(2, dtype, state);
};

export const recurrentOps: RuleTable = {
  RNN: recurrent,
  GRU: recurrent,
  LSTM: recurrent,
};

/** ORT's DynamicQuantizeLSTM: as LSTM, but the weights R are [directions, hidden, 4·hidden]. */
export const dynamicQuantizeLstm: Rule = (ctx) => {
  const x = ctx.shape(0);
  const hidden: Dim = ctx.int('hidden_size') ?? exactDivDims(ctx.shape(2)?.[2], 4);
  const directions = ctx.text('direction') === 'bidirectional' ? 2 : 1;
  ctx.set(0, ctx.dtype(0), [x?.[0], directions, x?.[1], hidden]);
  for (const index of [1, 2]) ctx.set(index, ctx.dtype(0), [directions, x?.[1], hidden]);
};
