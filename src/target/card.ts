import { stringify } from 'yaml';
import { formatBytes } from '../messages.ts';
import type { Evidence } from './evidence.ts';
import type { Manifest } from './manifest.ts';
import { formatOf } from './sbom.ts';

export const cardName = 'MODEL_CARD.md';

/** A repository on the Hugging Face hub, as opposed to a folder's name. */
const hubId = /^[\w.-]+\/[\w.-]+$/;

/** Metric ids that the hub knows by another name. */
const hubMetrics: Readonly<Record<string, string>> = { top1: 'accuracy' };

/**
 * The model card: front matter as the Hugging Face hub reads it, then what the model takes and gives, how it was made, and what
 * was measured. Figures that nobody measured are not there.
 */
export function printCard(manifest: Omit<Manifest, 'files'>): string {
  const { model, evidence, release } = manifest;
  const parts = [
    `---\n${stringify(frontMatter(manifest))}---`,
    `# ${model.name} ${release.version}, variant \`${manifest.variant}\``,
    introduction(manifest),
    `## Inputs and outputs\n\n${[...manifest.inputs.map((one) => `- in: \`${formatOf(one)}\``), ...manifest.outputs.map((one) => `- out: \`${formatOf(one)}\``)].join('\n')}`,
    ...(manifest.labels ? [`Classes (${manifest.labels.length}): ${shortList(manifest.labels)}`] : []),
    `## How it was made\n\n${making(evidence, manifest)}`,
    `## Measured\n\n${measured(evidence)}`,
    `## Check it\n\n\`sha256sum -c SHA256SUMS\` shows that no file was changed; \`mlpack verify . --key <public key>\` also who signed it, where it is
signed; \`mlpack check .\` starts it and replays ${manifest.golden.length} recorded inputs.`,
    `## Limits\n\nWhat the model is for, what it was trained on and where it fails is not known to the tool that packed it: ask whoever made the
base model.`,
  ];
  return `${parts.join('\n\n')}\n`;
}

function frontMatter({ model, evidence, variant, target, tool }: Omit<Manifest, 'files'>): object {
  const base = evidence && hubId.test(evidence.base.name) ? evidence.base.name : undefined;
  const results = evidence ? hubResults(evidence) : [];
  return {
    ...(model.license !== null && { license: model.license.toLowerCase() }),
    library_name: 'onnx',
    ...(base !== undefined && {
      base_model: base,
      ...(isMade(evidence, model) && { base_model_relation: 'quantized' }),
    }),
    tags: ['onnx', tool.name, variant, target],
    ...(results.length > 0 && { 'model-index': [{ name: model.name, results }] }),
  };
}

function hubResults({ accuracy, data }: Evidence): object[] {
  if (!accuracy || accuracy.value === null || !data) return [];
  return [
    {
      task: { type: 'other' },
      dataset: { name: data.name, type: data.name },
      metrics: [{ type: hubMetrics[accuracy.metric] ?? accuracy.metric, name: accuracy.metric, value: accuracy.value }],
    },
  ];
}

/** Something was done to it. Where weights lie apart the file is another than the base model's, and the model the same. */
function isMade(evidence: Evidence | null, { sha256, files }: Manifest['model']): evidence is Evidence {
  if (!evidence) return false;
  return evidence.recipe.length > 0 || (files.length === 1 && evidence.base.sha256 !== sha256);
}

function introduction({ evidence, target, providers, model }: Omit<Manifest, 'files'>): string {
  const made = isMade(evidence, model)
    ? `made from \`${evidence.base.name}\` (SHA-256 \`${evidence.base.sha256}\`)`
    : 'taken over as it came';
  return `An ONNX model, ${made}, packed for the target \`${target}\`${providers.length > 0 ? ` (${providers.join(', ')})` : ''}. Licence: ${model.license ?? 'not known to the tool; see the base model'}.`;
}

function making(evidence: Evidence | null, { tool, model }: Omit<Manifest, 'files'>): string {
  const end = `Packed by ${tool.name} ${tool.version}. SHA-256 of the model: \`${model.sha256}\`. \`provenance.json\` says the same for machines.`;
  if (!evidence) return end;
  if (evidence.recipe.length === 0) return `No step changed the model. ${end}`;
  const steps = evidence.recipe.map(({ pass, options }, at) => {
    const said = Object.entries(options).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
    return `${at + 1}. \`${pass}\`${said.length > 0 ? `: ${said.join(', ')}` : ''}`;
  });
  return `${steps.join('\n')}\n\n${end}`;
}

function measured(evidence: Evidence | null): string {
  if (!evidence) return 'Nothing was measured on this file when it was packed (`mlpack optimize` measures).';
  const { accuracy, fidelity, data, base } = evidence;
  const rows: string[][] = [];
  if (accuracy && accuracy.value !== null)
    rows.push([
      accuracy.metric,
      figure(accuracy.value),
      accuracy.base === null ? '' : figure(accuracy.base),
      accuracy.dropCi ? `drop within [${accuracy.dropCi.map(figure).join(', ')}] at 95 %` : '',
    ]);
  if (fidelity?.agreement !== null && fidelity?.agreement !== undefined)
    rows.push(['same answer as base', figure(fidelity.agreement), '1', `${fidelity.samples} samples`]);
  if (fidelity)
    rows.push([
      'SQNR against base',
      fidelity.sqnrDb === null ? 'identical' : `${fidelity.sqnrDb.toFixed(1)} dB`,
      '',
      `${fidelity.samples} samples`,
    ]);
  rows.push(['size', formatBytes(evidence.bytes), formatBytes(base.bytes), '']);
  for (const { provider, p50Ms, ratioToBase, ratioCi } of evidence.latency)
    rows.push([
      `median latency, ${provider}`,
      `${p50Ms.toPrecision(3)} ms`,
      '',
      `${ratioToBase.toFixed(3)} × base [${ratioCi.map((one) => one.toFixed(3)).join(', ')}]`,
    ]);
  const judged = data
    ? `On ${data.samples} samples of ${data.name}.`
    : 'On made-up inputs: there was no labelled data.';
  const machine = evidence.machine ? ` Times on ${evidence.machine}.` : ' Times are in the report of the run.';
  const table = [['', 'this file', 'base', ''], ['---', '---', '---', '---'], ...rows];
  return `${judged}${machine}\n\n${table.map((row) => `| ${row.join(' | ')} |`).join('\n')}`;
}

function figure(value: number): string {
  return String(Number(value.toPrecision(5)));
}

function shortList(labels: readonly string[]): string {
  const shown = labels.slice(0, 20).join(', ');
  return labels.length > 20 ? `${shown}, …` : shown;
}
