/** The optional parts of a report, made up as real runs give them. */
import type { ClassResult, LayerError, ScoresText, Sensitivity } from '../../src/report/evidence.ts';
import type { Latency, Report, VariantResult } from '../../src/report/report.ts';

/** 41 quantiles of a skewed distribution with this median. */
export const distributionOf = (p50: number): number[] =>
  Array.from({ length: 41 }, (_, at) => {
    const share = at / 40;
    return Number((p50 * (0.94 + 0.12 * share + (share > 0.9 ? (share - 0.9) * 3.1 : 0))).toFixed(5));
  });

export function timed(p50: number, ratioToBase: number, spread: number): Latency {
  return {
    p50,
    p90: p50 * 1.08,
    p95: p50 * 1.16,
    p99: p50 * 1.31,
    samples: 412,
    distribution: distributionOf(p50),
    ratioToBase,
    ratioCi: [ratioToBase * (1 - spread), ratioToBase * (1 + spread)],
    ...(spread > 0 && { call: ratioToBase > 1 ? 'slower' : 'faster' }),
  };
}

/** `rights` of `count` samples right, as a report carries it. */
export function rightScores(count: number, wrong: readonly number[]): ScoresText {
  const bytes = new Uint8Array(Math.ceil(count / 8));
  for (let at = 0; at < count; at++) if (!wrong.includes(at)) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  return { form: 'right', higherIsBetter: true, count, base64: Buffer.from(bytes).toString('base64') };
}

/** Ten digits, of which one gets clearly worse. */
export const digitClasses: readonly ClassResult[] = Array.from({ length: 10 }, (_, digit) => ({
  name: digit === 3 ? '<b>three</b>' : String(digit),
  samples: 50,
  base: digit === 8 ? 0.94 : 0.98,
  value: digit === 8 ? 0.82 : digit === 3 ? 1 : 0.98,
  lost: digit === 8 ? 6 : 0,
  gained: digit === 3 ? 1 : 0,
  dropCi: digit === 8 ? [0.03, 0.24] : [-0.05, 0.06],
  p: digit === 8 ? 0.15625 : 1,
}));

export const layerNames = [
  '/stem/Conv',
  '/block1/Conv_1',
  '/features/features.6/body/body.0/body.0.1/BatchNormalization',
  '/classifier/fc/Gemm',
  '<i>odd</i>',
];

export const layerErrors: readonly LayerError[] = layerNames.map((node, at) => ({
  node,
  op: node.endsWith('Gemm') ? 'Gemm' : 'Conv',
  sqnrDb: at === 0 ? null : 44.6 - 5 * at,
  cosine: at === 0 ? 1 : 0.9999 - 0.001 * at,
  maxAbs: 0.02 * at,
}));

export const sensitivity: readonly Sensitivity[] = [
  {
    scheme: 'int8 static',
    measure: 'dB of SQNR below float',
    samples: 32,
    layers: layerNames.map((node, at) => ({
      node,
      op: node.endsWith('Gemm') ? 'Gemm' : 'Conv',
      loss: at === 4 ? null : [12.4, 3.1, 2.2, 27.9][at]!,
      bytes: 4096 * (at + 1),
      timeShare: 0.1 * (at + 1),
      ...(at === 3 && { kept: 'alone it costs more than the floor allows, so it stays in float' }),
    })),
    unmeasured: [{ node: 'LSTM "rnn"', why: 'the 10 s for it were over' }],
  },
];

/** What a run with a second provider adds to a variant. */
export const elsewhere: Pick<VariantResult, 'runtimes' | 'placement' | 'layers' | 'firstMs'> = {
  firstMs: 3.8,
  layers: layerErrors,
  runtimes: {
    'web-wasm': { samples: 64, agreement: 1, maxAbs: 2.1e-5, sqnrDb: 98.4, maxSteps: 1 },
    'web-webgpu': {
      samples: 64,
      agreement: 0.984,
      maxAbs: 0.031,
      sqnrDb: 41.2,
      adapter: 'SwiftShader Device (Subzero)',
      software: true,
    },
  },
  placement: {
    'web-webgpu': {
      nodes: { 'web-webgpu': 30, cpu: 3 },
      fallbacks: [
        { node: '/attn/<script>', op: 'DynamicQuantizeLinear', provider: 'cpu' },
        { node: '/attn/MatMul_quant', op: 'MatMulInteger', provider: 'cpu' },
      ],
    },
  },
};

export const measuredMore: Pick<VariantResult, 'failures' | 'throughput' | 'profile'> = {
  failures: { webgpu: 'does not work on webgpu: no adapter was found' },
  throughput: {
    cpu: [
      { batch: 8, sequence: 128, concurrency: 1, inferencesPerSecond: 214.5, p50: 4.66 },
      { batch: 8, sequence: 128, concurrency: 2, inferencesPerSecond: 301.2, p50: 6.64 },
    ],
  },
  profile: {
    cpu: [
      { op: 'QLinearConv', provider: 'cpu', nodes: 8, ms: 0.41, share: 0.77 },
      { op: 'MaxPool', provider: 'cpu', nodes: 3, ms: 0.12, share: 0.23 },
    ],
  },
};

export const providersAndNoise: Pick<Report, 'providers' | 'noise'> = {
  providers: {
    cpu: { runtime: 'onnxruntime-node 1.30.0', software: false, threads: 2 },
    'web-wasm': { runtime: 'onnxruntime-web 1.30.0 in Chromium 140.0', software: false },
    'web-webgpu': {
      runtime: 'onnxruntime-web 1.30.0 in Chromium 140.0',
      adapter: 'google swiftshader',
      software: true,
    },
  },
  noise: {
    cpu: {
      spread: 0.021,
      control: { ratio: 1.004, ci: [0.998, 1.009] },
      others: 0.03,
      drift: 1.002,
      margin: 0.02,
      noisy: false,
      extended: false,
    },
  },
};
