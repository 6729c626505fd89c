/** Made-up reports as real runs give them: good, bad and hostile. */
import type { Accuracy, Audit, Fidelity, Report, StepResult, VariantResult } from '../../src/report/report.ts';
import { reportSchema } from '../../src/report/report.ts';
import {
  digitClasses,
  elsewhere,
  measuredMore,
  providersAndNoise,
  rightScores,
  sensitivity,
  timed,
} from './sample-evidence.ts';

const sha = (digit: string): string => digit.repeat(64).slice(0, 64);

const top1 = (value: number | null): Accuracy => ({
  metric: 'top1',
  value,
  base: 0.974,
  drop: value === null ? null : Number((0.974 - value).toFixed(6)),
  samples: 500,
  higherIsBetter: true,
  ...(value !== null &&
    value !== 0.974 && {
      dropCi: [0.974 - value - 0.009, 0.974 - value + 0.012],
      discordant: { lost: Math.round((0.974 - value) * 500) + 1, gained: 1, p: 0.1875 },
      neededSamples: 785,
    }),
});

const step = (pass: string, part: Partial<StepResult> = {}): StepResult => ({
  pass,
  options: {},
  changed: true,
  applied: {},
  skipped: [],
  nodesBefore: 37,
  nodesAfter: 37,
  ms: 4.2,
  ...part,
});

const simplify = step('simplify', {
  options: { 'max-growth': 1.1, fold: true },
  applied: { 'constant-fold': 2, 'identity-elimination': 1, 'shared-initializer': 3 },
  skipped: [
    {
      rule: 'reshape-chain',
      node: '/head/Flatten',
      why: 'the batch dimension is symbolic, so the target shape is not known',
      weightBytes: 4096,
    },
  ],
  nodesAfter: 34,
  ms: 6.81,
});

export const hostileName = '</script><script>alert("x")</script><img src=x onerror=alert(1)>';

const fuse = step('fuse', {
  options: { level: 'portable', rules: ['conv-batch-norm', 'conv-add', 'pad-conv'] },
  applied: { 'conv-batch-norm': 8, 'clip-merge': 1 },
  skipped: [
    ...['/block1/Conv_1', '/block2/Conv_1', '/block3/Conv_1'].map((node) => ({
      rule: 'conv-add',
      node,
      why: 'the other operand of Add is not a constant of shape [C,1,1]',
    })),
    {
      rule: 'conv-batch-norm',
      node: '/stem/Conv',
      why: 'its output is read by 2 nodes, and one of them is not the batch normalization',
    },
    { rule: 'pad-conv', node: hostileName, why: 'Pad fills with 0.5, and a convolution pads with zero' },
  ],
  nodesBefore: 34,
  nodesAfter: 25,
  ms: 3.02,
});

const dynamic = step('quantize-dynamic', {
  options: { weights: 'auto', 'per-channel': true, 'min-elements': 1024 },
  applied: { gemm: 2, matmul: 6 },
  notes: ['every layer in its cheapest format: top1 0.9010 (float 0.9150, drop 0.0140 of 0.01 allowed), missed'],
  skipped: [
    ...Array.from({ length: 14 }, (_, index) => ({
      rule: 'conv',
      node: `/features/${index}/conv/Conv`,
      why: 'ConvInteger is slower than float Conv on the CPU provider, so Conv keeps its weights',
    })),
    {
      rule: 'gemm',
      node: '/classifier/a_rather_long_scope_name_as_exporters_write_them/block_with_many_words/inner/projection/MatMul_fused_with_bias',
      why: 'only 640 weights: quantizing them saves less than the scales cost',
    },
  ],
  nodesBefore: 25,
  nodesAfter: 33,
  ms: 18.4,
});

const audit = (part: Partial<Audit>): Audit => ({
  quantizedNodes: 0,
  floatNodes: 10,
  leftoverQdq: 0,
  insertedCasts: 0,
  fusedOps: {},
  findings: [],
  ...part,
});

const fidelity = (sqnrDb: number | null, cosine: number, maxAbs: number, agreement: number): Fidelity => ({
  sqnrDb,
  cosine,
  maxAbs,
  samples: 500,
  agreement,
});

const variant = (name: string, part: Partial<VariantResult>): VariantResult => ({
  name,
  steps: [],
  file: `variants/${name}/model.onnx`,
  sha256: sha('b7'),
  bytes: 678_169,
  compressedBytes: 612_003,
  parameters: 166_362,
  nodes: 37,
  ops: { Conv: 8, Relu: 6, Gemm: 2, MaxPool: 3, Add: 2 },
  fidelity: null,
  accuracy: top1(0.974),
  latency: {},
  sessionMs: 9.3,
  peakRssBytes: 92_000_000,
  audit: audit({ fusedOps: { 'com.microsoft:FusedConv': 8 } }),
  verdict: 'accepted',
  reasons: ['passes, and another variant is smaller or faster'],
  ...part,
});

const variants: readonly VariantResult[] = [
  variant('base', {
    ops: {
      Conv: 8,
      BatchNormalization: 8,
      Relu: 6,
      Constant: 4,
      MaxPool: 3,
      Clip: 2,
      Gemm: 2,
      Add: 2,
      Identity: 1,
      Flatten: 1,
    },
    latency: { cpu: timed(1.214, 1, 0), 'web-wasm': timed(4.31, 1, 0) },
    fidelity: fidelity(null, 1, 0, 1),
    reasons: ['the model as it came'],
  }),
  variant('fp32', {
    steps: [simplify, fuse],
    bytes: 668_412,
    compressedBytes: 604_118,
    nodes: 25,
    latency: { cpu: timed(1.143, 0.942, 0.021), 'web-wasm': timed(3.94, 0.913, 0.03) },
    fidelity: fidelity(131.2, 0.99999999, 3.1e-6, 1),
  }),
  variant('fp16', {
    steps: [
      simplify,
      fuse,
      step('to-fp16', {
        options: { 'keep-io-types': true, 'block-ops': [] },
        applied: { 'cast-weights': 20 },
        nodesBefore: 25,
        nodesAfter: 27,
      }),
    ],
    bytes: 337_804,
    compressedBytes: 311_240,
    nodes: 27,
    latency: { cpu: timed(1.71, 1.409, 0.028), 'web-wasm': timed(6.2, 1.44, 0.05) },
    fidelity: fidelity(61.4, 0.9999996, 0.0041, 1),
    audit: audit({
      insertedCasts: 22,
      findings: [
        {
          node: '/stem/Conv',
          op: 'Conv',
          why: 'the CPU provider has no half-precision Conv: it casts to float and back',
        },
        {
          node: '/block1/Conv',
          op: 'Conv',
          why: 'the CPU provider has no half-precision Conv: it casts to float and back',
        },
      ],
    }),
    verdict: 'rejected',
    reasons: [
      'slower than base on cpu: ×1.41 of its latency (95 % interval 1.37–1.45)',
      'slower than base on web-wasm: ×1.44 of its latency (95 % interval 1.37–1.51)',
    ],
  }),
  variant('int8', {
    steps: [simplify, fuse, dynamic],
    sha256: sha('c4'),
    bytes: 178_920,
    compressedBytes: 151_300,
    nodes: 33,
    accuracy: {
      ...top1(0.972),
      classes: digitClasses,
      scores: rightScores(500, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]),
    },
    ...elsewhere,
    ...measuredMore,
    latency: { cpu: timed(0.565, 0.465, 0.03), 'web-wasm': timed(2.05, 0.476, 0.04) },
    fidelity: fidelity(34.8, 0.99983, 0.21, 0.994),
    audit: audit({
      quantizedNodes: 8,
      floatNodes: 2,
      leftoverQdq: 3,
      fusedOps: { 'com.microsoft:DynamicQuantizeMatMul': 6, 'com.microsoft:MatMulIntegerToFloat': 2 },
      findings: [
        { node: hostileName, op: 'MatMul', why: 'its second input is not a constant, so no weights were quantized' },
        {
          node: '/attn/softmax_q',
          op: 'QuantizeLinear',
          why: 'Softmax stands between two quantized nodes and runs in float',
        },
      ],
    }),
    verdict: 'recommended',
    reasons: ['26 % of the size', '2.15 times as fast on cpu', 'top1 0.9720 (base 0.9740, 500 samples)'],
  }),
  variant('int4', {
    steps: [
      simplify,
      fuse,
      step('quantize-weights', {
        options: { bits: 4, block: 32, 'accuracy-level': 4 },
        applied: { 'matmul-nbits': 8 },
      }),
    ],
    bytes: 121_000,
    compressedBytes: 109_400,
    accuracy: top1(0.931),
    latency: { cpu: timed(0.702, 0.578, 0.04) },
    fidelity: fidelity(17.2, 0.9904, 1.34, 0.948),
    audit: audit({ quantizedNodes: 8, floatNodes: 2 }),
    verdict: 'rejected',
    reasons: ['top1 falls from 0.9740 to 0.9310 on 500 samples, a drop of 0.0430 where 0.01 is allowed'],
  }),
  variant('pruned-2-4', {
    steps: [
      simplify,
      fuse,
      step('prune-weights', { options: { pattern: '2:4', scope: 'layer' }, applied: { 'zero-weights': 10 } }),
    ],
    bytes: 668_412,
    compressedBytes: 371_900,
    accuracy: top1(0.966),
    latency: { cpu: timed(1.15, 0.951, 0.06) },
    fidelity: fidelity(31.9, 0.9961, 0.92, 0.98),
    reasons: [
      'passes, and another variant is smaller or faster',
      'zeros make the download smaller; ONNX Runtime runs them at full cost, so the speed stays',
    ],
  }),
  variant('a-variant-of-my-own-with-a-name-that-goes-on <b>&amp; on', {
    steps: [simplify, step('quantize-dynamic', { changed: false, ms: 1.1 })],
    file: null,
    sha256: null,
    bytes: null,
    compressedBytes: null,
    parameters: null,
    nodes: 34,
    accuracy: null,
    sessionMs: null,
    peakRssBytes: null,
    audit: null,
    verdict: 'rejected',
    reasons: ['ONNX Runtime does not load it: Fatal error: com.example:MyOp(-1) is not a registered function/op'],
  }),
];

/** A run on labelled data with two targets. */
export const sampleReport: Report = {
  schema: reportSchema,
  tool: { name: 'mlpack', version: '0.1.0' },
  createdAt: '2025-03-14T09:26:53.000Z',
  command: 'mlpack optimize models/digits --target server,browser --provider cpu,web-wasm --max-drop 0.01',
  seed: 0,
  host: {
    platform: 'linux x64',
    cpu: 'AMD EPYC 7B13 64-Core Processor',
    flags: ['avx2', 'fma', 'f16c', 'avx512f', 'avx512_vnni'],
    cores: 2,
    memoryBytes: 8_312_000_512,
    node: '20.20.2',
    ort: '1.30.0',
  },
  input: {
    path: 'models/digits/model.onnx',
    sha256: sha('a3f9'),
    bytes: 678_169,
    externalData: [{ name: 'model.onnx.data', bytes: 665_448, sha256: sha('9e') }],
    parameters: 166_362,
    nodes: 37,
    irVersion: 8,
    opsets: { '': 13, 'com.microsoft': 1 },
    producer: 'pytorch 2.6.0',
    inputs: [{ name: 'image', dtype: 'float32', shape: ['batch', 1, 28, 28] }],
    outputs: [
      { name: 'logits', dtype: 'float32', shape: ['batch', 10] },
      { name: '<img src=x onerror=alert(2)>', dtype: 'float32', shape: null },
      { name: 'state', dtype: 'int64', shape: [null, 4] },
    ],
  },
  data: {
    path: 'models/digits/eval',
    name: 'digits',
    samples: 500,
    calibrationSamples: 80,
    metric: 'top1',
    synthetic: false,
    sha256: sha('51'),
  },
  limits: { maxDrop: 0.01, minSqnrDb: 30 },
  origins: { targets: 'flag', maxDrop: 'flag', seed: 'default', variants: 'config' },
  warnings: ['fp16 varied by 12 % between rounds on web-wasm: another program may have been busy'],
  ...providersAndNoise,
  targets: ['server', 'browser'],
  sensitivity,
  variants,
  notBuilt: [{ variant: 'uint8', why: 'unsigned weights are the slower kernel on the CPU: take int8' }],
  bundles: [
    { target: 'server', dir: 'bundles/server', variant: 'int8', bytes: 214_300, files: 11 },
    { target: 'browser', dir: 'bundles/browser', variant: 'int8', bytes: 13_480_112, files: 9 },
  ],
  recommendations: [
    { target: 'server', provider: 'cpu', variant: 'int8', because: ['26 % of the size', '2.15 times as fast on cpu'] },
    {
      target: 'browser',
      provider: 'web-wasm',
      variant: 'int8',
      because: ['26 % of the size', '2.10 times as fast on web-wasm'],
    },
  ],
  verdict: { ok: true, reasons: ['int8: 26 % of the size, 2.15 times as fast on cpu'] },
};

/** The same without data: nothing is known about accuracy. */
export const syntheticReport: Report = {
  ...sampleReport,
  command: 'mlpack optimize models/digits',
  data: { path: '', name: 'made-up inputs', samples: 0, calibrationSamples: 0, metric: null, synthetic: true },
  targets: ['server'],
  bundles: sampleReport.bundles.slice(0, 1),
  recommendations: sampleReport.recommendations.slice(0, 1),
  variants: variants.map((one) => {
    const latency: VariantResult['latency'] = one.latency.cpu ? { cpu: one.latency.cpu } : {};
    const plain = { ...one, accuracy: null, latency };
    if (one.name !== 'int4') return plain;
    return {
      ...plain,
      reasons: [
        'without labelled data it has to reproduce the base model at 30 dB, and reaches 17.2 dB; give --data to judge it by the task',
      ],
    };
  }),
};

/** Nothing passed: the model stays as it is, and nothing was timed. */
export const keepReport: Report = {
  ...syntheticReport,
  command: 'mlpack optimize models/digits --no-bench',
  variants: variants.map((one) => ({
    ...one,
    accuracy: null,
    latency: {},
    ...(one.name === 'base'
      ? { verdict: 'recommended', reasons: ['nothing smaller or faster passed'] }
      : { verdict: 'rejected', reasons: ['its outputs could not be compared with the base model'] }),
  })),
  bundles: [],
  recommendations: [
    { target: 'server', provider: 'cpu', variant: 'base', because: ['nothing smaller or faster passed'] },
  ],
  verdict: { ok: true, reasons: ['nothing smaller or faster passed: ship the model as it is'] },
};
