import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Graph, Model, Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { toNumbers } from '../../src/ir/tensor.ts';
import { printModel } from '../../src/ir/text/print.ts';

import type { Dims } from './differential.ts';

/**
 * One golden case. The file:
 *
 *   What it shows, in prose.
 *   options: {"skip": ["conv-add"]}      optional, JSON
 *   dims: {"N": 3, "x": [2, 4]}            optional: extents of symbolic dimensions, shapes of inputs for the runs
 *   values: {"pads": [0, 1]}               optional: what an input holds in the runs
 *   ort: no Conv for float64               optional: why ONNX Runtime cannot run `before` (a test that it cannot)
 *   feeds: made-up                         optional: run on what the made-up activations of the context came from, no edge values
 *   explain: true                          optional: "skipped" names misses that are told only when asked
 *   --- before
 *   <model text>
 *   --- after
 *   <model text> | unchanged
 *   --- applied
 *   conv-bn 2                              optional: rules and how often they fired, all of them
 *   --- skipped
 *   conv-add: along axis 3                 optional: rule and part of the reason; `none` for no reason at all
 *
 * In `after`, names of constants and the numbers of float constants of more than one element stand for any.
 */
export interface GoldenCase {
  readonly pass: string;
  readonly name: string;
  readonly title: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly dims: Dims;
  readonly values: Readonly<Record<string, readonly number[]>>;
  readonly ortCannot: string | undefined;
  readonly feeds: string | undefined;
  /** Hold `skipped` against every miss, not only the near ones. */
  readonly explain: boolean;
  readonly before: string;
  /** Undefined: unchanged. */
  readonly after: string | undefined;
  readonly applied: Readonly<Record<string, number>> | undefined;
  readonly skipped: readonly { readonly rule: string; readonly why: string }[] | undefined;
}

export const casesDir = fileURLToPath(new URL('../cases', import.meta.url));

/** All cases, by folder (the pass id) and file name. */
export function readCases(): GoldenCase[] {
  const cases: GoldenCase[] = [];
  for (const pass of readdirSync(casesDir).sort()) {
    for (const file of readdirSync(join(casesDir, pass)).sort()) {
      if (file.endsWith('.txt')) cases.push(parseCase(pass, file, readFileSync(join(casesDir, pass, file), 'utf8')));
    }
  }
  return cases;
}

const headers = ['options', 'dims', 'ort', 'explain', 'values', 'feeds'];
const sections = ['before', 'after', 'applied', 'skipped'];

/** @throws Error naming the file when a section is missing or unknown. */
export function parseCase(pass: string, file: string, text: string): GoldenCase {
  const fail = (why: string): never => {
    throw new Error(`${pass}/${file}: ${why}`);
  };
  const [head = '', ...parts] = text.split(/^--- /m);
  const header = new Map<string, string>();
  const prose: string[] = [];
  for (const line of head.split('\n')) {
    const key = headers.find((name) => line.startsWith(`${name}:`));
    if (key) header.set(key, line.slice(key.length + 1).trim());
    else if (line.trim()) prose.push(line.trim());
  }
  const body = new Map<string, string>();
  for (const part of parts) {
    const [name = '', ...lines] = part.split('\n');
    if (!sections.includes(name.trim())) fail(`unknown section "${name.trim()}"`);
    body.set(name.trim(), lines.join('\n').trim());
  }
  const section = (name: string): string => body.get(name) ?? fail(`no section "${name}"`);
  const lines = (name: string): string[] | undefined =>
    body
      .get(name)
      ?.split('\n')
      .filter((line) => line.trim());
  const json = (name: string) => JSON.parse(header.get(name) ?? '{}') as Record<string, never>;
  const after = section('after');
  return {
    pass,
    name: file.replace(/\.txt$/, ''),
    title: prose.join(' ') || fail('says nothing about what it shows'),
    options: json('options'),
    dims: json('dims'),
    values: json('values'),
    ortCannot: header.get('ort'),
    feeds: header.get('feeds'),
    explain: header.get('explain') === 'true',
    before: section('before'),
    after: after === 'unchanged' ? undefined : after,
    applied: body.has('applied')
      ? Object.fromEntries(
          (lines('applied') ?? []).map((line) => [line.split(' ')[0], Number(line.split(' ')[1] ?? 1)]),
        )
      : undefined,
    skipped: lines('skipped')
      ?.filter((line) => line.trim() !== 'none')
      .map((line) => ({ rule: line.slice(0, line.indexOf(':')), why: line.slice(line.indexOf(':') + 1).trim() })),
  };
}

/**
 * Text of a model in which two models are the same when they differ only in the names of constants, the names of nodes, the
 * data of float constants of several elements, types of inner values, and notes.
 */
export function structure(model: Model): string {
  const names = new Map<Value, string>();
  const constants = new Map<Graph, Value[]>();
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      for (const value of node.inputs) {
        if (!value?.initializer || value.isGraphInput || names.has(value)) continue;
        names.set(value, `constant${names.size}`);
        constants.set(value.graph, [...(constants.get(value.graph) ?? []), value]);
      }
    }
  }
  return printModel(
    model,
    { elements: 0, notes: false, nodeNames: false, innerTypes: false },
    {
      nameOf: (value) => names.get(value) ?? value.name,
      initializersOf: (graph) => [
        ...(constants.get(graph) ?? []),
        ...[...graph.initializers].filter((value) => !names.has(value)),
      ],
      elided: shown,
      attrsOf: (node) => [...node.attrs].sort(([a], [b]) => (a < b ? -1 : 1)),
    },
  );
}

function shown(tensor: Tensor): string {
  const isFloat = tensor.dtype.startsWith('float') || tensor.dtype === 'bfloat16';
  const single = tensor.shape.every((dim) => dim === 1);
  return isFloat && !single ? '{...}' : `{${toNumbers(tensor)?.join(', ') ?? '...'}}`;
}

/** Name and type of what callers see: inputs without initializers, and outputs. */
export function signature(model: Model): string {
  const text = (value: Value) => `${value.name}: ${JSON.stringify(value.type)}`;
  const inputs = model.graph.inputs.filter((value) => value.initializer === undefined);
  return `${inputs.map(text).join(', ')} => ${model.graph.outputs.map(text).join(', ')}`;
}
