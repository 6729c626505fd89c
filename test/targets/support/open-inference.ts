/**
 * What the OpenAPI document of the Open Inference Protocol v2 (kserve/open-inference-protocol, open_inference_rest.yaml) says
 * about paths and bodies, in our own words: names, types, and which members must be there.
 */

const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const text = { type: 'string' };
const list = (items: object): object => ({ type: 'array', items });
const record = (properties: object, required: readonly string[] = []): object => ({
  type: 'object',
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const body = (name: string): object => ({ description: '', content: { 'application/json': { schema: ref(name) } } });
const path = (name: string): object => ({ name, in: 'path', required: true, schema: text });
const versioned = '/v2/models/{MODEL_NAME}/versions/{MODEL_VERSION}';
const parameters = [path('MODEL_NAME'), path('MODEL_VERSION')];
const found = { responses: { '200': { description: '' } } };
const tensor = { name: text, shape: list({ type: 'integer' }), datatype: text };
const tensorWithData = record({ ...tensor, parameters: ref('parameters'), data: ref('tensor_data') }, [
  'name',
  'shape',
  'datatype',
  'data',
]);

export const published = {
  openapi: '3.0.0',
  info: { title: 'Open Inference Protocol', version: '2.0' },
  paths: {
    '/v2/health/live': { get: found },
    '/v2/health/ready': { get: found },
    [`${versioned}/ready`]: { parameters, get: found },
    '/v2/': { get: { responses: { '200': body('metadata_server_response'), '400': body('error') } } },
    [versioned]: { parameters, get: { responses: { '200': body('metadata_model_response') } } },
    [`${versioned}/infer`]: {
      parameters,
      post: {
        requestBody: { content: { 'application/json': { schema: ref('inference_request') } } },
        responses: { '200': body('inference_response'), '400': body('error') },
      },
    },
  },
  components: {
    schemas: {
      error: record({ error: text }, ['error']),
      metadata_server_response: record({ name: text, version: text, extensions: list(text) }, [
        'name',
        'version',
        'extensions',
      ]),
      metadata_tensor: record(tensor, ['name', 'datatype', 'shape']),
      metadata_model_response: record(
        {
          name: text,
          versions: list(text),
          platform: text,
          inputs: list(ref('metadata_tensor')),
          outputs: list(ref('metadata_tensor')),
        },
        ['name', 'platform'],
      ),
      parameters: { type: 'object' },
      tensor_data: list({ anyOf: [ref('tensor_data'), { type: 'number' }, text, { type: 'boolean' }] }),
      request_input: tensorWithData,
      request_output: record({ name: text, parameters: ref('parameters') }, ['name']),
      response_output: tensorWithData,
      inference_request: record(
        {
          id: text,
          parameters: ref('parameters'),
          inputs: list(ref('request_input')),
          outputs: list(ref('request_output')),
        },
        ['inputs'],
      ),
      inference_response: record(
        {
          model_name: text,
          model_version: text,
          id: text,
          parameters: ref('parameters'),
          outputs: list(ref('response_output')),
        },
        ['model_name', 'outputs'],
      ),
    },
  },
};
