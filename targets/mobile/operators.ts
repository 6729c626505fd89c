import type { OrtNode } from './ort-model.ts';
import { type Tracked, trackedTypes } from './type-usage.ts';

interface Usage {
  readonly inputs: ReadonlyMap<number, Set<string>>;
  readonly outputs: ReadonlyMap<number, Set<string>>;
  /** Types of OneHot's input, values and depth together. */
  readonly triples: Set<string>;
}

/**
 * The text of `required_operators.config`, or with `types` of `required_operators_and_types.config`: what a reduced build
 * of ONNX Runtime must keep (`build.py --include_ops_by_config`). The same lines, in the same order, as
 * `onnxruntime.tools.convert_onnx_models_to_ort` writes.
 */
export function operatorsConfig(nodes: readonly OrtNode[], files: readonly string[], types: boolean): string {
  const ops = new Map<string, Map<number, Set<string>>>();
  const usage = new Map<string, Usage>();
  for (const node of nodes) {
    const domain = ops.get(node.domain) ?? new Map<number, Set<string>>();
    ops.set(node.domain, domain);
    domain.set(node.sinceVersion, (domain.get(node.sinceVersion) ?? new Set()).add(node.op));
    if (types) recordTypes(node, usage);
  }
  const lines = ['# Generated from model/s:', ...[...files].sort(byText).map((file) => `# - ${file}`)];
  for (const [domain, versions] of [...ops].sort(([a], [b]) => byText(a, b))) {
    for (const [version, names] of [...versions].sort(([a], [b]) => a - b)) {
      const entries = [...names].sort(byText).map((op) => op + typesEntry(usage.get(`${domain}:${op}`)));
      lines.push(`${domain};${version};${entries.join(',')}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function recordTypes(node: OrtNode, usage: Map<string, Usage>): void {
  const key = `${node.domain}:${node.op}`;
  const tracked = trackedTypes(key);
  if (!tracked) return;
  const known = usage.get(key) ?? emptyUsage(tracked);
  usage.set(key, known);
  if (tracked.triple) {
    // The kernel's registration orders them so: input, values, depth.
    const [input, depth, values] = node.inputTypes;
    known.triples.add(JSON.stringify([input, values, depth]));
    return;
  }
  for (const [index, seen] of known.inputs) add(seen, node.inputTypes[index]);
  for (const [index, seen] of known.outputs) add(seen, node.outputTypes[index]);
}

function emptyUsage({ inputs, outputs }: Tracked): Usage {
  const sets = (indices: readonly number[]): Map<number, Set<string>> =>
    new Map(indices.map((index) => [index, new Set<string>()]));
  return { inputs: sets(inputs), outputs: sets(outputs), triples: new Set() };
}

function add(seen: Set<string>, type: string | undefined): void {
  if (type !== undefined) seen.add(type);
}

/** `{"inputs": {"0": ["float"]}}`, spaced as Python's json module does, or nothing. */
function typesEntry(usage: Usage | undefined): string {
  if (!usage) return '';
  if (usage.triples.size > 0) {
    const rows = [...usage.triples]
      .map((text) => JSON.parse(text) as string[])
      .sort((a, b) => byText(a.join(), b.join()));
    return `{"custom": [${rows.map(list).join(', ')}]}`;
  }
  const parts = [section('inputs', usage.inputs), section('outputs', usage.outputs)].filter((part) => part !== '');
  return parts.length > 0 ? `{${parts.join(', ')}}` : '';
}

function section(name: string, sets: ReadonlyMap<number, Set<string>>): string {
  const rows = [...sets].filter(([, types]) => types.size > 0).sort(([a], [b]) => a - b);
  if (rows.length === 0) return '';
  return `"${name}": {${rows.map(([index, types]) => `"${index}": ${list([...types].sort(byText))}`).join(', ')}}`;
}

function list(types: readonly string[]): string {
  return `[${types.map((type) => JSON.stringify(type)).join(', ')}]`;
}

/** Order by code unit, as Python sorts ASCII text. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
