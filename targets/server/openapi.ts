import type { IoInfo } from '../../src/report/report.ts';
import { protocolDatatypes } from '../../src/target/datatypes.ts';
import type { Artifact } from '../../src/target/target.ts';

type Schema = Readonly<Record<string, unknown>>;

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const text: Schema = { type: 'string' };
const texts: Schema = { type: 'array', items: text };

function record(properties: Readonly<Record<string, Schema>>, required: readonly string[]): Schema {
  return { type: 'object', properties, required };
}

/** What an element of a tensor is in JSON. */
function element(datatype: string): Schema {
  if (datatype === 'BOOL') return { type: 'boolean' };
  if (datatype === 'BYTES') return text;
  return datatype.startsWith('FP') ? { type: 'number' } : { type: 'integer' };
}

/** One tensor of the model: its name and datatype are the only ones, its shape has the model's rank. */
function tensor({ name, dtype, shape }: IoInfo): Schema {
  const datatype = protocolDatatypes[dtype] ?? dtype;
  const rank = shape === null ? {} : { minItems: shape.length, maxItems: shape.length };
  const dims = shape === null ? 'any' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
  return {
    ...record(
      {
        name: { type: 'string', enum: [name] },
        datatype: { type: 'string', enum: [datatype] },
        shape: { type: 'array', items: { type: 'integer', minimum: 0 }, ...rank, description: dims },
        parameters: ref('parameters'),
        data: { type: 'array', items: { anyOf: [element(datatype), { type: 'array', items: {} }] } },
      },
      ['name', 'shape', 'datatype'],
    ),
    description: `${datatype} ${dims}; data flat or nested, row-major, or parameters.binary_data_size`,
  };
}

const oneOf = (tensors: readonly IoInfo[]): Schema => ({ anyOf: tensors.map(tensor) });

function schemas({ inputs, outputs }: Artifact): Readonly<Record<string, Schema>> {
  const described = record(
    { name: text, datatype: text, shape: { type: 'array', items: { type: 'integer', minimum: -1 } } },
    ['name', 'datatype', 'shape'],
  );
  const wanted = record(
    { name: { type: 'string', enum: outputs.map(({ name }) => name) }, parameters: ref('parameters') },
    ['name'],
  );
  const tensors = (name: string): Schema => ({ type: 'array', items: ref(name) });
  return {
    error: record({ error: text }, ['error']),
    parameters: {
      type: 'object',
      additionalProperties: { anyOf: [text, { type: 'number' }, { type: 'boolean' }] },
    },
    metadata_server_response: record({ name: text, version: text, extensions: texts }, [
      'name',
      'version',
      'extensions',
    ]),
    metadata_tensor: described,
    metadata_model_response: record(
      {
        name: text,
        versions: texts,
        platform: text,
        inputs: tensors('metadata_tensor'),
        outputs: tensors('metadata_tensor'),
        properties: { type: 'object' },
      },
      ['name', 'platform', 'inputs', 'outputs'],
    ),
    request_input: oneOf(inputs),
    request_output: wanted,
    response_output: oneOf(outputs),
    inference_request: record(
      {
        id: text,
        parameters: ref('parameters'),
        inputs: { ...tensors('request_input'), minItems: inputs.length, maxItems: inputs.length },
        outputs: { ...tensors('request_output'), maxItems: outputs.length },
      },
      ['inputs'],
    ),
    inference_response: record(
      {
        model_name: text,
        model_version: text,
        id: text,
        parameters: ref('parameters'),
        outputs: tensors('response_output'),
      },
      ['model_name', 'outputs'],
    ),
  };
}

const json = (schema: Schema): Schema => ({ 'application/json': { schema } });
const answer = (description: string, schema?: Schema): Schema =>
  schema === undefined ? { description } : { description, content: json(schema) };
const failures = {
  '400': answer('The request cannot be served as it is', ref('error')),
  '401': answer('A valid key is needed', ref('error')),
  '404': answer('There is no such model or version', ref('error')),
  '503': answer('Not ready, or more requests than can be answered: see Retry-After', ref('error')),
};

function get(id: string, summary: string, schema?: Schema, more: object = failures): Schema {
  return { get: { operationId: id, summary, responses: { '200': answer('OK', schema), ...more } } };
}

function modelPaths(base: string, suffix: string, parameters: readonly Schema[]): Readonly<Record<string, Schema>> {
  const withParameters = (item: Schema): Schema => (parameters.length > 0 ? { parameters, ...item } : item);
  const infer = {
    post: {
      operationId: `infer${suffix}`,
      summary: 'Inference',
      requestBody: { required: true, content: json(ref('inference_request')) },
      responses: {
        '200': answer('OK', ref('inference_response')),
        ...failures,
        '413': answer('The body is too large', ref('error')),
        '415': answer('The body is compressed in a way that is not understood', ref('error')),
        '429': answer('More requests a second than the key may send: see Retry-After', ref('error')),
      },
    },
  };
  return {
    [base]: withParameters(get(`model${suffix}`, 'Model metadata', ref('metadata_model_response'))),
    [`${base}/ready`]: withParameters(
      get(
        `ready${suffix}`,
        'Whether the model answers',
        record({ name: text, ready: { type: 'boolean' } }, ['name', 'ready']),
      ),
    ),
    [`${base}/infer`]: withParameters(infer),
  };
}

/** openapi.json of the bundle: the Open Inference Protocol v2 for this very model, for clients and gateways. */
export function openApi(artifact: Artifact): object {
  const model = `/v2/models/${artifact.name}`;
  const version: Schema = {
    name: 'version',
    in: 'path',
    required: true,
    schema: { type: 'string', pattern: '^[1-9][0-9]*$' },
  };
  const notReady = { '503': answer('Not ready') };
  return {
    openapi: '3.0.3',
    info: {
      title: artifact.name,
      version: '2',
      description: `The ${artifact.variant} variant of ${artifact.name} by the Open Inference Protocol v2.`,
      ...(artifact.license === undefined ? {} : { license: { name: artifact.license } }),
    },
    servers: [{ url: 'http://127.0.0.1:8080' }],
    security: [{}, { bearer: [] }, { apiKey: [] }],
    paths: {
      '/v2/health/live': get('live', 'Whether the process runs', undefined, {}),
      '/v2/health/ready': get('ready', 'Whether the model answers', undefined, notReady),
      '/v2': get('server', 'Server metadata', ref('metadata_server_response')),
      ...modelPaths(model, '', []),
      ...modelPaths(`${model}/versions/{version}`, 'Version', [version]),
    },
    components: {
      schemas: schemas(artifact),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  };
}
