import { encodeFlatBuffer } from '../../src/flatbuffer/encode.ts';
import { type Table, type Tables, table } from '../../src/flatbuffer/schema.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { ImageTask } from '../browser/task-image.ts';

const tables = (name: string) => ({ vector: { table: name } }) as const;

/** TensorFlow Lite metadata (metadata_schema.fbs, file identifier M001), as far as it is written here. */
const metadataTables: Tables = {
  ModelMetadata: table(
    ['name', 'string'],
    ['description', 'string'],
    ['version', 'string'],
    ['subgraph_metadata', tables('SubGraphMetadata')],
    ['author', 'string'],
    ['license', 'string'],
    ['associated_files', tables('AssociatedFile')],
    ['min_parser_version', 'string'],
  ),
  SubGraphMetadata: table(
    ['name', 'string'],
    ['description', 'string'],
    ['input_tensor_metadata', tables('TensorMetadata')],
    ['output_tensor_metadata', tables('TensorMetadata')],
  ),
  TensorMetadata: table(
    ['name', 'string'],
    ['description', 'string'],
    ['dimension_names', { vector: 'string' }],
    ['content', { table: 'Content' }],
    ['process_units', tables('ProcessUnit')],
    ['stats', { table: 'Stats' }],
    ['associated_files', tables('AssociatedFile')],
  ),
  Content: table(['content_properties', { union: ['FeatureProperties', 'ImageProperties'] }]),
  FeatureProperties: table(),
  ImageProperties: table(['color_space', 'int8']),
  ProcessUnit: table(['options', { union: ['NormalizationOptions'] }]),
  NormalizationOptions: table(['mean', { vector: 'float32' }], ['std', { vector: 'float32' }]),
  Stats: table(['max', { vector: 'float32' }], ['min', { vector: 'float32' }]),
  AssociatedFile: table(['name', 'string'], ['description', 'string'], ['type', 'int8']),
};

const colorSpaces = { RGB: 1, BGR: 0, GRAY: 3 } as const;
const axisLabels = 2;
export const labelsFile = 'labels.txt';

/**
 * What MediaPipe Tasks reads of a model: that its input is a picture, how pixels are normalized ((pixel − mean) / std), and
 * the classes of its output. Undefined where there is nothing to tell.
 */
export function mediaPipeMetadata(artifact: Artifact, image: ImageTask | undefined): Uint8Array | undefined {
  if (!image && !artifact.labels) return undefined;
  const inputs = artifact.inputs.map(({ name }): Table => {
    if (!image || name !== image.input) return { name };
    const std = image.factor.map((factor) => 1 / factor);
    const mean = image.offset.map((offset, c) => -offset * (std[c] ?? 1));
    const ends = [0, 255].map((pixel) => image.factor.map((factor, c) => pixel * factor + (image.offset[c] ?? 0)));
    return {
      name,
      description: 'The picture, one byte for each channel before normalization.',
      content: { content_properties: { type: 'ImageProperties', value: { color_space: colorSpaces[image.channels] } } },
      process_units: [{ options: { type: 'NormalizationOptions', value: { mean, std } } }],
      stats: { min: ends[0], max: ends[1] },
    };
  });
  const outputs = artifact.outputs.map(
    ({ name }, i): Table => ({
      name,
      content: { content_properties: { type: 'FeatureProperties', value: {} } },
      ...(i === 0 &&
        artifact.labels && {
          associated_files: [{ name: labelsFile, description: 'The class of each score.', type: axisLabels }],
        }),
    }),
  );
  return encodeFlatBuffer(
    metadataTables,
    'ModelMetadata',
    {
      name: artifact.name,
      version: 'v1',
      ...(artifact.license !== undefined && { license: artifact.license }),
      subgraph_metadata: [{ input_tensor_metadata: inputs, output_tensor_metadata: outputs }],
      min_parser_version: '1.0.0',
    },
    'M001',
  );
}

/** Appends files as a zip archive, where MediaPipe Tasks looks for them: readers of FlatBuffers do not see what follows. */
export function withFiles(model: Uint8Array, files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const parts: Uint8Array[] = [model];
  const directory: Uint8Array[] = [];
  let at = model.length;
  for (const [name, data] of Object.entries(files)) {
    const label = Buffer.from(name, 'utf8');
    const crc = crc32(data);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(20, 4);
    common(local, 10, crc, data.length, label.length);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(20, 4);
    central.writeUInt16LE(20, 6);
    common(central, 12, crc, data.length, label.length);
    central.writeUInt32LE(at, 42);
    parts.push(local, label, data);
    directory.push(central, label);
    at += local.length + label.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(22);
  const count = Object.keys(files).length;
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(at, 16);
  return new Uint8Array(Buffer.concat([...parts, ...directory, end]));
}

/** Time (1 January 1980, the earliest there is), checksum, sizes and length of the name. */
function common(header: Buffer, at: number, crc: number, size: number, name: number): void {
  header.writeUInt16LE(0, at);
  header.writeUInt16LE(0x21, at + 2);
  header.writeUInt32LE(crc, at + 4);
  header.writeUInt32LE(size, at + 8);
  header.writeUInt32LE(size, at + 12);
  header.writeUInt16LE(name, at + 16);
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
