import { readFile } from 'node:fs/promises';
import { UserError } from '../../errors.ts';
import { dtypeKind } from '../../ir/dtype.ts';
import type { Tensor } from '../../ir/tensor.ts';

import type { Fields } from '../json-fields.ts';
import { columnSums, type Metric, type MetricBatch, type MetricContext, type MetricKind, missing } from './metric.ts';
import { argmax, pairedRows, rowsOf } from './rows.ts';

/** Edits, and units of the truth. */
type Edits = readonly [edits: number, units: number];

/**
 * Word (or character) error rate: insertions, deletions and substitutions that turn what was heard into what was said (Levenshtein), summed,
 * / words (characters) said, summed. Spaces are squeezed; nothing else is changed, unless `lowercase` asks for it.
 */
function errorRate(id: string, summary: string, unitsOf: (text: string) => string[]): MetricKind {
  return {
    id,
    summary,
    async make(settings, context): Promise<Metric<Edits>> {
      const decode = await textDecoder(settings, context);
      const isLower = settings.flag('lowercase');
      const tidy = (text: string): string => {
        const squeezed = text.trim().replaceAll(/\s+/g, ' ');
        return isLower ? squeezed.toLowerCase() : squeezed;
      };
      return {
        id,
        summary,
        higherIsBetter: false,
        needs: 'truths',
        // Saying nothing: every word is missing.
        blind: 1,
        score(batch) {
          const heard = decode(batch);
          return Array.from({ length: batch.size }, (_, sample) => {
            const truth = batch.truths?.[sample];
            if (typeof truth !== 'string') throw missing(id, 'a text for each sample ("texts")');
            const said = unitsOf(tidy(truth));
            return [editDistance(unitsOf(tidy(heard[sample] ?? '')), said), said.length] as const;
          });
        },
        sample: ([edits, units]) => edits / units,
        fold(records) {
          const sums = columnSums(records, 2);
          return (weights) => {
            const [edits = 0, units = 0] = sums(weights);
            return edits / units;
          };
        },
      };
    },
  };
}

export const wordErrors = errorRate('wer', 'word error rate', (text) => (text === '' ? [] : text.split(' ')));
export const characterErrors = errorRate('cer', 'character error rate', (text) => Array.from(text));

/** Levenshtein's distance of two lists. */
export function editDistance(a: readonly string[], b: readonly string[]): number {
  let row = Uint32Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = new Uint32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]);
      next[j] = Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1);
    }
    row = next;
  }
  return row[b.length] as number;
}

/**
 * How an output becomes text. Text outputs are taken as they are. Else `vocabulary` names a JSON file, a list of tokens or an object from token
 * to id; scores are decoded greedily, and with `ctc` (default for scores) equal neighbours are merged and blanks (`blank`, default the token
 * `<pad>` or `[PAD]`, else 0) dropped. `|`, `▁` and `Ġ` are spaces; tokens in <> or [] are dropped.
 */
async function textDecoder(settings: Fields, context: MetricContext): Promise<(batch: MetricBatch) => string[]> {
  const file = settings.text('vocabulary');
  const vocabulary = file === undefined ? undefined : await readVocabulary(await context.resolve(file));
  const blank =
    settings.count('blank', 0) ?? Math.max(0, vocabulary?.findIndex((token) => /^(<pad>|\[PAD\])$/.test(token)) ?? 0);
  const isCtc = settings.choice('decode', ['auto', 'ctc', 'greedy'], 'auto');
  return ({ output, size }) => {
    if (output.dtype === 'string') {
      const utf8 = new TextDecoder();
      return (output.strings?.() ?? []).slice(0, size).map((bytes) => utf8.decode(bytes));
    }
    if (!vocabulary)
      throw new UserError(
        'metric-settings',
        'The output is numbers, not text: "vocabulary" in the metric\'s settings must name the JSON file of its tokens.',
      );
    return tokenRows(output, size).map((ids) => {
      const merged = isCtc === 'ctc' || (isCtc === 'auto' && dtypeKind(output.dtype) === 'float');
      const kept = merged ? ids.filter((id, at) => id !== ids[at - 1] && id !== blank) : ids;
      return kept
        .map((id) => vocabulary[id] ?? '')
        .filter((token) => !/^(<.*>|\[.*\])$/.test(token))
        .join('')
        .replaceAll(/[|▁Ġ]/g, ' ');
    });
  };
}

function tokenRows(output: Tensor, size: number): number[][] {
  const { values, width } = rowsOf(output, size);
  const classes = dtypeKind(output.dtype) === 'float' ? (output.shape.at(-1) ?? 1) : 1;
  return Array.from({ length: size }, (_, sample) =>
    Array.from({ length: width / classes }, (_, at) => {
      const start = sample * width + at * classes;
      return classes === 1 ? (values[start] as number) : argmax(values, start, classes);
    }),
  );
}

async function readVocabulary(path: string): Promise<string[]> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UserError(
      'metric-settings',
      `The vocabulary ${path} cannot be read as JSON: ${(error as Error).message}.`,
      {
        cause: error,
      },
    );
  }
  if (Array.isArray(json) && json.every((token) => typeof token === 'string')) return json;
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    const tokens: string[] = [];
    for (const [token, id] of Object.entries(json))
      if (Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < 1e7) tokens[id as number] = token;
    if (tokens.length > 0) return Array.from(tokens, (token) => token ?? '');
  }
  throw new UserError(
    'metric-settings',
    `The vocabulary ${path} must be a list of tokens, or an object from token to id.`,
  );
}

/** Σ x·t, Σ t², Σ x². */
type Powers = readonly [xt: number, tt: number, xx: number];

/**
 * Scale-invariant signal-to-noise ratio in dB over all frames together: with a = Σxt / Σt², 10·log₁₀(Σ(a·t)² / Σ(x − a·t)²)
 * = 10·log₁₀(r² / (1 − r²)), r² = (Σxt)² / (Σx²·Σt²) (Le Roux and others 2019, without taking the mean away).
 */
export const siSnr: MetricKind = {
  id: 'si-snr',
  summary: 'scale-invariant signal-to-noise ratio in dB, over all frames together',
  make: (): Metric<Powers> => ({
    id: 'si-snr',
    summary: siSnr.summary,
    higherIsBetter: true,
    needs: 'targets',
    score(batch) {
      const { values, wanted, width } = pairedRows(batch, 'si-snr');
      return Array.from({ length: batch.size }, (_, sample) => {
        let [xt, tt, xx] = [0, 0, 0];
        for (let at = sample * width; at < (sample + 1) * width; at++) {
          const [x, t] = [values[at] as number, wanted[at] as number];
          xt += x * t;
          tt += t * t;
          xx += x * x;
        }
        return [xt, tt, xx] as const;
      });
    },
    sample: ([xt, tt, xx]) => ratio(xt, tt, xx),
    fold(records) {
      const sums = columnSums(records, 3);
      return (weights) => {
        const [xt = 0, tt = 0, xx = 0] = sums(weights);
        return ratio(xt, tt, xx);
      };
    },
  }),
};

function ratio(xt: number, tt: number, xx: number): number {
  const signal = (xt * xt) / tt;
  return 10 * Math.log10(signal / Math.max(0, xx - signal));
}
