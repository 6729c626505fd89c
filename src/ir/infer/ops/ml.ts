import { type Dim, tensorType } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { same } from './elementwise.ts';
import { lastDimTo } from './linear.ts';

/** Rows of [N, C]; a vector is one row. */
function rows(ctx: NodeContext): Dim {
  const shape = ctx.shape(0);
  if (!shape) return undefined;
  return shape.length === 1 ? 1 : shape[0];
}

/** Labels are strings or integers, whichever list of classes is given. */
function classes(
  ctx: NodeContext,
  strings: string,
  ints: string,
): { readonly isText: boolean; readonly count: number } {
  const texts = ctx.attr(strings);
  const numbers = ctx.attr(ints);
  if (texts?.type === 'strings' && texts.value.length > 0) return { isText: true, count: texts.value.length };
  return { isText: false, count: numbers?.type === 'ints' ? numbers.value.length : 0 };
}

/** Label [N] and scores [N, classes]. */
function classifier(strings: string, ints: string): Rule {
  return (ctx) => {
    const { isText, count } = classes(ctx, strings, ints);
    ctx.set(0, isText ? 'string' : 'int64', [rows(ctx)]);
    ctx.set(1, 'float32', [rows(ctx), count > 0 ? count : undefined]);
  };
}

function regressor(targets: (ctx: NodeContext) => Dim): Rule {
  return (ctx) => ctx.set(0, 'float32', [rows(ctx), targets(ctx)]);
}

const labelEncoder: Rule = (ctx) => {
  const out = { values_strings: 'string', values_int64s: 'int64', values_floats: 'float32' } as const;
  for (const [name, dtype] of Object.entries(out)) {
    if (ctx.attr(name)) return ctx.set(0, dtype, ctx.shape(0));
  }
  const tensor = ctx.attr('values_tensor');
  if (tensor?.type === 'tensor') return ctx.set(0, tensor.value.dtype, ctx.shape(0));
  ctx.set(0, ctx.dtype(0) === 'string' ? 'int64' : 'string', ctx.shape(0));
};

const oneHotEncoder: Rule = (ctx) => {
  const { count } = classes(ctx, 'cats_strings', 'cats_int64s');
  const shape = ctx.shape(0);
  ctx.set(0, 'float32', shape && [...shape, count > 0 ? count : undefined]);
};

const zipMap: Rule = (ctx) => {
  const { isText } = classes(ctx, 'classlabels_strings', 'classlabels_int64s');
  const value = tensorType('float32', []);
  ctx.setType(0, { kind: 'sequence', element: { kind: 'map', key: isText ? 'string' : 'int64', value } });
};

const floatSame: Rule = (ctx) => ctx.set(0, 'float32', ctx.shape(0));

export const ml: RuleTable = {
  TreeEnsembleRegressor: regressor((ctx) => ctx.int('n_targets')),
  TreeEnsembleClassifier: classifier('classlabels_strings', 'classlabels_int64s'),
  TreeEnsemble: (ctx) => ctx.set(0, ctx.dtype(0), [rows(ctx), ctx.int('n_targets')]),
  LinearRegressor: regressor((ctx) => ctx.int('targets', 1)),
  LinearClassifier: classifier('classlabels_strings', 'classlabels_ints'),
  SVMRegressor: regressor(() => 1),
  SVMClassifier: (ctx) => {
    const { isText } = classes(ctx, 'classlabels_strings', 'classlabels_ints');
    ctx.set(0, isText ? 'string' : 'int64', [rows(ctx)]);
    ctx.set(1, 'float32', [rows(ctx), undefined]);
  },
  Scaler: floatSame,
  Normalizer: floatSame,
  Binarizer: same,
  Imputer: same,
  LabelEncoder: labelEncoder,
  CategoryMapper: labelEncoder,
  OneHotEncoder: oneHotEncoder,
  ArrayFeatureExtractor: (ctx) => {
    const shape = ctx.shape(0);
    const picked = ctx.shape(1)?.at(-1);
    ctx.set(0, ctx.dtype(0), shape?.length === 1 ? [1, picked] : lastDimTo(shape, picked));
  },
  ZipMap: zipMap,
  CastMap: (ctx) => ctx.set(0, castMapType(ctx), [1, undefined]),
};

function castMapType(ctx: NodeContext): 'string' | 'float32' | 'int64' | undefined {
  const to = ctx.text('cast_to') ?? 'TO_FLOAT';
  const types = { TO_FLOAT: 'float32', TO_STRING: 'string', TO_INT64: 'int64' } as const;
  return types[to as keyof typeof types];
}
