import { UserError } from '../../errors.ts';
import { dtypeKind } from '../../ir/dtype.ts';
import type { Tensor } from '../../ir/tensor.ts';
import { type Numbers, numbersOf } from '../cast.ts';
import type { Fields } from '../json-fields.ts';
import { columnSums, type Metric, type MetricBatch, type MetricKind, meanMetric, missing } from './metric.ts';
import { argmax, competingScores, rowsOf } from './rows.ts';

/** Where the tokens of a causal language model are. */
interface TokenSource {
  /** Input that holds the token ids. */
  readonly ids: string;
  /** Input of ones where a token counts. */
  readonly mask: string;
}

function tokenSource(settings: Fields): TokenSource {
  return { ids: settings.text('ids') ?? 'input_ids', mask: settings.text('mask') ?? 'attention_mask' };
}

/** Calls `visit` with the place of the logits at each position that predicts a token which counts, and that token. */
function eachPrediction(
  { output, feeds, size }: MetricBatch,
  { ids, mask }: TokenSource,
  id: string,
  visit: (sample: number, start: number, token: number) => void,
): { values: Numbers; vocabulary: number } {
  const fed = feeds?.get(ids);
  if (!fed) throw missing(id, `an input "${ids}" of token ids ("ids" in the metric's settings names another)`);
  const [, length = 0] = fed.shape;
  const [, positions = 0, vocabulary = 0] = output.shape;
  if (output.shape.length !== 3 || positions !== length)
    throw new UserError(
      'metric-output',
      `${id} needs logits of [samples, ${length} positions, vocabulary]; the output is [${output.shape.join(', ')}].`,
    );
  const { values } = rowsOf(output, size);
  const tokens = numbersOf(fed);
  const kept = feeds?.get(mask);
  // With a past, masks are longer than the tokens: their end belongs to these.
  const columns = kept?.shape[1] ?? length;
  const counts = kept && numbersOf(kept);
  for (let sample = 0; sample < size; sample++) {
    for (let at = 0; at + 1 < length; at++) {
      const place = sample * columns + (columns - length) + at;
      if (counts && (counts[place] === 0 || counts[place + 1] === 0)) continue;
      const token = tokens[sample * length + at + 1] as number;
      if (token < 0 || token >= vocabulary)
        throw new UserError(
          'dataset-labels',
          `Token ${token} of sample ${sample} is none of the ${vocabulary} that the model scores.`,
        );
      visit(sample, (sample * positions + at) * vocabulary, token);
    }
  }
  return { values, vocabulary };
}

/** Loss in nats, tokens predicted, and how many of them scored highest. */
type TokenSums = readonly [loss: number, tokens: number, right: number];

function tokenSums(batch: MetricBatch, source: TokenSource, id: string): TokenSums[] {
  const sums = Array.from({ length: batch.size }, () => [0, 0, 0] as [number, number, number]);
  const places: [sample: number, start: number, token: number][] = [];
  const { values, vocabulary } = eachPrediction(batch, source, id, (...place) => places.push(place));
  for (const [sample, start, token] of places) {
    const sum = sums[sample] as [number, number, number];
    sum[0] += negativeLogSoftmax(values, start, vocabulary, token);
    sum[1]++;
    if (argmax(values, start, vocabulary) === token) sum[2]++;
  }
  return sums;
}

/** −ln softmax(x)[token] = ln Σ exp(x − max) − (x[token] − max). */
function negativeLogSoftmax(values: Numbers, start: number, count: number, token: number): number {
  let high = Number.NEGATIVE_INFINITY;
  for (let at = start; at < start + count; at++) if ((values[at] as number) > high) high = values[at] as number;
  let sum = 0;
  for (let at = start; at < start + count; at++) sum += Math.exp((values[at] as number) - high);
  return Math.log(sum) - ((values[start + token] as number) - high);
}

function tokenKind(
  id: string,
  summary: string,
  higherIsBetter: boolean,
  figure: (loss: number, tokens: number, right: number) => number,
): MetricKind {
  return {
    id,
    summary,
    make(settings): Metric<TokenSums> {
      const source = tokenSource(settings);
      return {
        id,
        summary,
        higherIsBetter,
        needs: 'feeds',
        blind: 'uniform',
        score: (batch) => tokenSums(batch, source, id),
        sample: (sums) => figure(...sums),
        fold(records) {
          const sums = columnSums(records, 3);
          return (weights) => {
            const [loss = 0, tokens = 0, right = 0] = sums(weights);
            return figure(loss, tokens, right);
          };
        },
      };
    },
  };
}

/** exp of the mean loss over all predicted tokens: exp(−Σ ln p(tokenᵢ | tokens before) / tokens). The first token of each row is not predicted. */
export const perplexity = tokenKind('perplexity', 'perplexity of a causal language model', false, (loss, tokens) =>
  Math.exp(loss / tokens),
);

/** Share of tokens of the text that the model scores highest, given those before. */
export const nextToken = tokenKind(
  'next-token',
  'share of tokens that a causal language model scores highest',
  true,
  (_loss, tokens, right) => right / tokens,
);

/** Agreeing positions, and positions. */
type Agreed = readonly [agreed: number, positions: number];

/** Share of positions (that the mask keeps) at which the highest score is that of the base model. */
export const tokenAgreement: MetricKind = {
  id: 'token-agreement',
  summary: 'share of positions with the same highest token as the base model',
  make(settings): Metric<Agreed> {
    const { mask } = tokenSource(settings);
    return {
      id: 'token-agreement',
      summary: tokenAgreement.summary,
      higherIsBetter: true,
      needs: 'reference',
      score({ output, reference, size, feeds }) {
        if (!reference) throw missing('token-agreement', 'the outputs of a base model');
        const classes = competingScores(output) ?? output.shape.at(-1) ?? 1;
        const a = rowsOf(output, size);
        const b = rowsOf(reference, size);
        const kept = feeds?.get(mask);
        const counts = kept && numbersOf(kept);
        const positions = a.width / classes;
        const columns = kept?.shape[1] ?? positions;
        return Array.from({ length: size }, (_, sample) => {
          let [agreed, judged] = [0, 0];
          for (let at = 0; at < positions; at++) {
            if (counts?.[sample * columns + columns - positions + at] === 0) continue;
            const start = sample * a.width + at * classes;
            judged++;
            if (argmax(a.values, start, classes) === argmax(b.values, start, classes)) agreed++;
          }
          return [agreed, judged] as const;
        });
      },
      sample: ([agreed, positions]) => agreed / positions,
      fold(records) {
        const sums = columnSums(records, 2);
        return (weights) => {
          const [agreed = 0, positions = 0] = sums(weights);
          return agreed / positions;
        };
      },
    };
  },
};

/** Predicted and wanted classes at each position of each sample. Positions whose target is `ignore` do not count. */
function positionsOf(batch: MetricBatch, id: string, ignore: number): Agreed[] {
  const { targets, output, size } = batch;
  if (!targets) throw missing(id, 'targets');
  const wanted = numbersOf(targets);
  const width = wanted.length / Math.max(targets.shape[0] ?? 1, 1);
  const predicted = predictions(output, size, id, width);
  return Array.from({ length: size }, (_, sample) => {
    let [right, judged] = [0, 0];
    for (let at = 0; at < width; at++) {
      const target = wanted[sample * width + at];
      if (target === ignore) continue;
      judged++;
      if (predicted(sample, at) === target) right++;
    }
    return [right, judged] as const;
  });
}

/** Whole numbers as they are; floats by the highest along the last axis. @throws UserError where the positions are not `width` */
function predictions(output: Tensor, size: number, id: string, width: number): (sample: number, at: number) => number {
  const { values, width: numbers } = rowsOf(output, size);
  const isWhole = dtypeKind(output.dtype) !== 'float';
  const classes = isWhole ? 1 : (output.shape.at(-1) ?? 1);
  if (numbers / classes !== width)
    throw new UserError(
      'metric-output',
      `${id}: the output has ${numbers / classes} positions a sample, the targets have ${width}${width > numbers / classes ? '; where the inputs of dataset.json are trimmed, "targets" have to be as well: "trim": { "pad": -100 }' : ''}.`,
    );
  return (sample, at) => {
    const start = sample * numbers + at * classes;
    return isWhole ? (values[start] as number) : argmax(values, start, classes);
  };
}

/** Share of positions put into their class (tagging of tokens). Targets of −100 (`ignore`) do not count. */
export const tokenAccuracy: MetricKind = {
  id: 'token-accuracy',
  summary: 'share of positions put into their class, as in tagging',
  make(settings): Metric<Agreed> {
    const ignore = settings.number('ignore') ?? -100;
    return {
      id: 'token-accuracy',
      summary: tokenAccuracy.summary,
      higherIsBetter: true,
      needs: 'targets',
      blind: 'mode',
      score: (batch) => positionsOf(batch, 'token-accuracy', ignore),
      sample: ([right, judged]) => right / judged,
      fold(records) {
        const sums = columnSums(records, 2);
        return (weights) => {
          const [right = 0, judged = 0] = sums(weights);
          return right / judged;
        };
      },
    };
  },
};

/**
 * Share of samples that are right at every position. With several `outputs` (start and end of an answer), output i must have its highest
 * score at the i-th target of the sample.
 */
export const exactMatch: MetricKind = {
  id: 'exact-match',
  summary: 'share of samples that are right at every position',
  make(settings) {
    const ignore = settings.number('ignore') ?? -100;
    const outputs = settings.texts('outputs');
    const about = {
      id: 'exact-match',
      summary: exactMatch.summary,
      higherIsBetter: true,
      needs: 'targets',
      blind: 0,
    } as const;
    if (!outputs)
      return meanMetric(about, (batch) =>
        positionsOf(batch, 'exact-match', ignore).map(([right, judged]) => Number(right === judged)),
      );
    return meanMetric({ ...about, outputs }, (batch) => {
      if (!batch.targets) throw missing('exact-match', 'targets');
      const wanted = numbersOf(batch.targets);
      if (wanted.length !== outputs.length * batch.size)
        throw new UserError(
          'metric-data',
          `exact-match of ${outputs.length} outputs needs as many targets a sample; there are ${wanted.length / batch.size}.`,
        );
      return Array.from({ length: batch.size }, (_, sample) =>
        Number(
          outputs.every((name, at) => {
            const output = batch.outputs?.get(name);
            if (!output) throw missing('exact-match', `the output "${name}"`);
            const { values, width } = rowsOf(output, batch.size);
            return argmax(values, sample * width, width) === wanted[sample * outputs.length + at];
          }),
        ),
      );
    });
  },
};
