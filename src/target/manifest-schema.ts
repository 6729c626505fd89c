import type { Schema } from './schema-check.ts';

const string: Schema = { type: 'string' };
const name: Schema = { type: 'string', minLength: 1 };
const size: Schema = { type: 'integer', minimum: 0 };
const sha256: Schema = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const strings: Schema = { type: 'array', items: string };
const opsets: Schema = { type: 'object', additionalProperties: { type: 'integer', minimum: 1 } };

function record(properties: Readonly<Record<string, Schema>>, optional: Readonly<Record<string, Schema>> = {}): Schema {
  return {
    type: 'object',
    properties: { ...properties, ...optional },
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

function withOptional(schema: Schema, properties: Readonly<Record<string, Schema>>): Schema {
  return { ...schema, properties: { ...schema.properties, ...properties } };
}

function list(items: Schema, minItems = 0): Schema {
  return { type: 'array', items, minItems };
}

function orNull(schema: Schema): Schema {
  return { anyOf: [{ type: 'null' }, schema] };
}

const io: Schema = list(
  record({
    name,
    dtype: name,
    shape: orNull(list({ anyOf: [size, string, { type: 'null' }] })),
  }),
);

const tolerance = record({ rtol: { type: 'number', minimum: 0 }, atol: { type: 'number', minimum: 0 } });

const programs = list(
  withOptional(record({ path: name, format: name }), {
    config: { type: 'object', additionalProperties: string },
    tolerance,
    cases: list(size),
    axes: { type: 'object', additionalProperties: list(size) },
  }),
);

const modelFiles: Schema = list(record({ name, path: name }, { pieces: list(name, 1) }), 1);

const tensors: Schema = list(withOptional(record({ name, dtype: name, shape: list(size), file: name }), { tolerance }));

const number: Schema = { type: 'number' };
const interval: Schema = list(number, 2);

const evidence: Schema = record({
  base: record({ name, sha256, bytes: size }),
  recipe: list(record({ pass: name, options: { type: 'object' } })),
  seed: number,
  bytes: size,
  parameters: orNull(size),
  data: orNull(record({ name: string, samples: size, sha256: orNull(sha256) })),
  accuracy: orNull(record({ metric: name, value: orNull(number), base: orNull(number), dropCi: orNull(interval) })),
  fidelity: orNull(record({ sqnrDb: orNull(number), agreement: orNull(number), samples: size })),
  latency: list(record({ provider: name, p50Ms: number, ratioToBase: number, ratioCi: interval })),
  machine: orNull(string),
});

const variants: Schema = list(
  record({ name, sha256, files: modelFiles, providers: strings, evidence: orNull(evidence) }),
);

/** JSON Schema of `mlpack.json`. Unknown keys are refused: a bundle may not claim what nobody checks. */
export const manifestSchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'mlpack bundle manifest',
  description: 'What a bundle made by mlpack contains, needs, and how it proves itself.',
  ...withOptional(
    record({
      schema: { const: 'mlpack.bundle/1' },
      tool: record({ name: { const: 'mlpack' }, version: name }),
      target: name,
      kind: { enum: ['http-v2', 'browser', 'programs', 'lines', 'lambda'] },
      options: { type: 'object' },
      variant: name,
      release: record({
        version: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+' },
        previous: orNull(record({ version: name, manifest: sha256 })),
      }),
      model: record({
        name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
        sha256,
        license: orNull(string),
        files: modelFiles,
      }),
      inputs: io,
      outputs: io,
      labels: orNull(strings),
      providers: strings,
      runtime: record({ package: name, version: name }),
      requires: record({ irVersion: { type: 'integer', minimum: 1 }, opsets }),
      commands: record({ install: orNull(string), start: name }),
      notes: strings,
      evidence: orNull(evidence),
      golden: list(
        record(
          {
            inputs: tensors,
            outputs: tensors,
            tolerance,
          },
          { variant: name },
        ),
      ),
      files: list(record({ path: name, bytes: size, sha256 })),
    }),
    { programs, variants },
  ),
};
