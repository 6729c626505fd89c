/**
 * What the published open_inference_grpc.proto (kserve/open-inference-protocol) puts on the wire, in our own words: calls with their messages,
 * and each field as `number name type`. `*` repeats; a map is written as its types. Names of fields matter to clients in JSON alone, numbers and types to all.
 */
export const calls: Readonly<Record<string, readonly [request: string, answer: string]>> = Object.fromEntries(
  ['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata', 'ModelInfer'].map((name) => [
    name,
    [`${name}Request`, `${name}Response`],
  ]),
);

const parameters = 'map<string,InferParameter>';
const tensor = ['1 name string', '2 datatype string', '3 shape *int64'];

export const messages: Readonly<Record<string, readonly string[]>> = {
  ServerLiveRequest: [],
  ServerLiveResponse: ['1 live bool'],
  ServerReadyRequest: [],
  ServerReadyResponse: ['1 ready bool'],
  ModelReadyRequest: ['1 name string', '2 version string'],
  ModelReadyResponse: ['1 ready bool'],
  ServerMetadataRequest: [],
  ServerMetadataResponse: ['1 name string', '2 version string', '3 extensions *string'],
  ModelMetadataRequest: ['1 name string', '2 version string'],
  'ModelMetadataResponse.TensorMetadata': tensor,
  ModelMetadataResponse: [
    '1 name string',
    '2 versions *string',
    '3 platform string',
    '4 inputs *TensorMetadata',
    '5 outputs *TensorMetadata',
  ],
  'ModelInferRequest.InferInputTensor': [...tensor, `4 parameters ${parameters}`, '5 contents InferTensorContents'],
  'ModelInferRequest.InferRequestedOutputTensor': ['1 name string', `2 parameters ${parameters}`],
  ModelInferRequest: [
    '1 model_name string',
    '2 model_version string',
    '3 id string',
    `4 parameters ${parameters}`,
    '5 inputs *InferInputTensor',
    '6 outputs *InferRequestedOutputTensor',
    '7 raw_input_contents *bytes',
  ],
  'ModelInferResponse.InferOutputTensor': [...tensor, `4 parameters ${parameters}`, '5 contents InferTensorContents'],
  ModelInferResponse: [
    '1 model_name string',
    '2 model_version string',
    '3 id string',
    `4 parameters ${parameters}`,
    '5 outputs *InferOutputTensor',
    '6 raw_output_contents *bytes',
  ],
  InferParameter: [
    '1 bool_param bool',
    '2 int64_param int64',
    '3 string_param string',
    '4 double_param double',
    '5 uint64_param uint64',
  ],
  InferTensorContents: [
    '1 bool_contents *bool',
    '2 int_contents *int32',
    '3 int64_contents *int64',
    '4 uint_contents *uint32',
    '5 uint64_contents *uint64',
    '6 fp32_contents *float',
    '7 fp64_contents *double',
    '8 bytes_contents *bytes',
  ],
};
