import { type Capability, capabilities, capabilityOf, type Standing } from './providers.ts';

/** Operators with their counts, under `domain:op` or `domain.op`. */
type Ops = Readonly<Record<string, number>>;
/** Bytes of weights by element type. */
type WeightBytes = Readonly<Record<string, number>>;

/**
 * The format that a model is in, by the name of the variant that makes it (int8-static, int4, fp16 …); undefined for float32 and for what is none of
 * these.
 */
export function formatOf(ops: Ops, bytes: WeightBytes): string | undefined {
  const names = new Set(
    Object.keys(ops).map((key) => key.slice(Math.max(key.lastIndexOf(':'), key.lastIndexOf('.')) + 1)),
  );
  const has = (...wanted: string[]): boolean => wanted.some((op) => names.has(op));
  const of = (...types: string[]): number => types.reduce((sum, type) => sum + (bytes[type] ?? 0), 0);
  const halves = of('float16') > of('float32');
  if (has('MatMulBnb4')) return 'bnb4';
  if (has('MatMulNBits')) return halves ? 'q4f16' : 'int4';
  if (has('DequantizeLinear') && of('int4', 'uint4') > 0) return 'int4-dq';
  if (has('QLinearConv', 'QLinearMatMul', 'QGemm', 'QuantizeLinear')) return 'int8-static';
  if (
    has(
      'MatMulInteger',
      'MatMulIntegerToFloat',
      'DynamicQuantizeMatMul',
      'DynamicQuantizeLSTM',
      'ConvInteger',
      'QAttention',
    )
  )
    return of('uint8') > of('int8') ? 'uint8' : 'int8';
  return halves ? 'fp16' : undefined;
}

const bad: ReadonlySet<Standing> = new Set(['slow', 'fallback', 'missing']);

/** What the table says against a format on these providers. */
export function objectionsTo(format: string, providers: readonly string[]): Capability[] {
  return providers
    .flatMap((provider) => capabilityOf(provider, format) ?? [])
    .filter(({ standing }) => bad.has(standing));
}

/** Where each format pays and where it does not. Providers of one kind of browser count once. */
export interface FormatRow {
  readonly format: string;
  readonly pays: readonly string[];
  readonly smaller: readonly string[];
  readonly not: readonly { readonly provider: string; readonly standing: Standing; readonly why: string }[];
}

export function formatTable(): FormatRow[] {
  const rows = new Map<string, { pays: string[]; smaller: string[]; not: FormatRow['not'][number][] }>();
  for (const { provider, variant, standing, why } of capabilities) {
    if (provider === 'web-webgpu') continue;
    const row = rows.get(variant) ?? { pays: [], smaller: [], not: [] };
    rows.set(variant, row);
    if (standing === 'fast') row.pays.push(provider);
    else if (standing === 'size') row.smaller.push(provider);
    else if (bad.has(standing)) row.not.push({ provider, standing, why });
  }
  return [...rows].map(([format, row]) => ({ format, ...row }));
}

/** Formats that pay on a provider, and those that do not, with the reason. */
export function formatsOn(provider: string): {
  readonly take: readonly string[];
  readonly leave: readonly Capability[];
} {
  const own = capabilities.filter((one) => one.provider === provider);
  return {
    take: own.filter(({ standing }) => standing === 'fast' || standing === 'size').map(({ variant }) => variant),
    leave: own.filter(({ standing }) => bad.has(standing)),
  };
}
