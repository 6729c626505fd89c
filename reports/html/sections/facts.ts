/** What the figures rest on: data and limits, the model, the machine, and how to get them again. */
import { formatCount } from '../../../src/messages.ts';
import { isSynthetic } from '../../../src/report/facts.ts';
import { fingerprint } from '../../../src/report/machine.ts';
import type { IoInfo, Report } from '../../../src/report/report.ts';
import { formatLimit, formatSize } from '../../../src/report/words.ts';
import { shorten } from '../budget.ts';
import { type Html, html } from '../escape.ts';
import { chips, code, command, counted, facts, plural, type Section, scroll, variantName } from '../parts.ts';

const ioShown = 200;

export function dataAndLimits(report: Report): Section {
  const { data, limits } = report;
  const metric = data?.metric ?? null;
  const settings = Object.entries(report.origins ?? {}).map(
    ([name, origin]) => html`<bdi>${name}</bdi> <b>${origin}</b>`,
  );
  return {
    id: 'data',
    title: 'Data and limits',
    lede: isSynthetic(report)
      ? 'There was no data. Inputs were made up from a seed, which tells speed and fidelity, and nothing about accuracy.'
      : 'What the variants were judged on, and what they had to keep.',
    body: facts([
      [
        'Data',
        isSynthetic(report)
          ? html`<strong class="loud-text">made up, not labelled</strong>`
          : html`${data?.name} ${code(data?.path ?? '')}`,
      ],
      ['Metric', metric ?? 'none: without labels there is no accuracy'],
      ['Samples', data && data.samples > 0 ? formatCount(data.samples) : undefined],
      ['Calibration samples', data && data.calibrationSamples > 0 ? formatCount(data.calibrationSamples) : undefined],
      [
        'SHA-256 of the samples',
        data?.sha256 === undefined ? undefined : html`<code class="hash">${data.sha256}</code>`,
      ],
      ['Largest drop allowed', formatLimit(metric, limits.maxDrop)],
      ['Least SQNR without labels', limits.minSqnrDb === undefined ? undefined : `${limits.minSqnrDb} dB`],
      ['Settings came from', settings.length > 0 && chips(settings)],
    ]),
  };
}

export function model(report: Report): Section {
  const { input } = report;
  const opsets = Object.entries(input.opsets).map(
    ([domain, version]) => html`<bdi>${domain || 'ai.onnx'}</bdi> <b>${version}</b>`,
  );
  const base = report.variants.find((variant) => variant.name === 'base');
  return {
    id: 'model',
    title: 'The model',
    lede: 'As it came.',
    body: html`${facts([
      ['File', code(input.path)],
      ['Size', formatSize(input.bytes)],
      ['Parameters', formatCount(input.parameters)],
      ['Nodes', formatCount(input.nodes)],
      ['Operators', base && Object.keys(base.ops).length > 0 && counted(base.ops)],
      ['Opsets', chips(opsets)],
      ['IR version', String(input.irVersion)],
      ['Exported by', input.producer === '' ? 'not said' : shorten(input.producer, 120)],
    ])}${ioTable(report)}`,
  };
}

function ioTable({ input }: Report): Html {
  const row = (io: IoInfo, direction: string): Html =>
    html`<tr><td>${direction}</td><th scope="row">${code(io.name)}</th><td>${io.dtype}</td><td><code><bdi>${shapeText(io.shape)}</bdi></code></td></tr>`;
  const rows = [...input.inputs.map((io) => row(io, 'input')), ...input.outputs.map((io) => row(io, 'output'))];
  const left = rows.length - ioShown;
  return scroll(
    'Inputs and outputs',
    html`<table><thead><tr><th scope="col">Direction</th><th scope="col">Name</th><th scope="col">Type</th><th scope="col">Shape</th></tr></thead><tbody>${rows.slice(0, ioShown)}${left > 0 && html`<tr><td colspan="4">and ${left} more</td></tr>`}</tbody></table>`,
  );
}

function shapeText(shape: IoInfo['shape']): string {
  if (shape === null) return 'unknown';
  return shorten(`[${shape.map((dim) => dim ?? '?').join(', ')}]`, 160);
}

export function machine({ host, providers = {} }: Report): Section {
  const runtimes = Object.entries(providers).map(
    ([provider, { runtime, adapter, software, threads }]) =>
      html`<li><b>${provider}</b> ${shorten(runtime, 120)}${adapter !== undefined && `, ${shorten(adapter, 80)}`}${threads !== undefined && `, ${plural(threads, 'thread')}`}${software && ' (software adapter)'}</li>`,
  );
  return {
    id: 'machine',
    title: 'The machine',
    lede: 'Speed is a property of a model on a machine: elsewhere the order of the variants may differ.',
    body: facts([
      [
        'Fingerprint',
        html`<code>${fingerprint(host)}</code> <span class="soft">times are compared with a baseline only where it is the same</span>`,
      ],
      ['Processor', host.cpu],
      ['Logical cores', String(host.cores)],
      ['Instruction sets', host.flags.length > 0 ? chips(host.flags.slice(0, 40)) : 'not known'],
      ['Memory', formatSize(host.memoryBytes)],
      ['Platform', host.platform],
      ['ONNX Runtime', host.ort],
      ['Node.js', host.node],
      ['Providers', runtimes.length > 0 ? html`<ul>${runtimes}</ul>` : undefined],
    ]),
  };
}

export function reproduce(report: Report): Section {
  const files = [
    html`<tr><th scope="row">input</th><td>${code(report.input.path)}</td><td><code class="hash">${report.input.sha256}</code></td></tr>`,
    ...report.variants.map(
      (variant) =>
        variant.file !== null &&
        variant.sha256 !== null &&
        html`<tr><th scope="row">${variantName(variant.name)}</th><td>${code(variant.file)}</td><td><code class="hash">${variant.sha256}</code></td></tr>`,
    ),
  ];
  return {
    id: 'reproduce',
    title: 'Do it again',
    lede: 'The same command and seed on the same file give the same files, byte for byte. Times are measured anew.',
    body: html`${command(shorten(report.command, 4000))}${facts([
      ['mlpack', report.tool.version],
      ['Seed', String(report.seed)],
      ['Made at', html`<time datetime="${report.createdAt}">${report.createdAt}</time>`],
    ])}${scroll('Files and their hashes', html`<table class="hashes"><thead><tr><th scope="col">Model</th><th scope="col">File</th><th scope="col">SHA-256</th></tr></thead><tbody>${files}</tbody></table>`)}`,
  };
}
