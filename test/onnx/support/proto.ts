import { onnx } from 'onnx-proto';
import protobuf from 'protobufjs/minimal.js';

/** Models for tests, written by onnx-proto: another schema and another protobuf library than the code under test. */
export interface TinyNode {
  readonly op: string;
  readonly in?: readonly string[];
  readonly out?: readonly string[];
  readonly attrs?: readonly onnx.IAttributeProto[];
  readonly name?: string;
  readonly domain?: string;
}

export function valueInfo(name: string, elemType = 1, dims: readonly (number | string)[] = [2]): onnx.IValueInfoProto {
  const dim = dims.map((extent) => (typeof extent === 'number' ? { dimValue: extent } : { dimParam: extent }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

export function floats(name: string, values: readonly number[], dims = [values.length]): onnx.ITensorProto {
  return { name, dims, dataType: 1, rawData: new Uint8Array(Float32Array.from(values).buffer) };
}

export function node({ op, in: input = [], out = [], attrs = [], name, domain }: TinyNode): onnx.INodeProto {
  return {
    opType: op,
    input: [...input],
    output: [...out],
    attribute: [...attrs],
    ...(name ? { name } : {}),
    ...(domain ? { domain } : {}),
  };
}

export function graph(nodes: readonly TinyNode[], rest: onnx.IGraphProto = {}): onnx.IGraphProto {
  return { name: 'g', node: nodes.map(node), ...rest };
}

export function modelBytes(content: onnx.IGraphProto, rest: onnx.IModelProto = {}): Uint8Array {
  return plain(
    onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: content,
      ...rest,
    }).finish(),
  );
}

/** x → Add(x, w) → Relu → y, with a type for the inner value. */
export function smallModel(rest: onnx.IModelProto = {}): Uint8Array {
  return modelBytes(
    graph(
      [
        { op: 'Add', in: ['x', 'w'], out: ['h'], name: 'add' },
        { op: 'Relu', in: ['h'], out: ['y'], name: 'relu' },
      ],
      {
        input: [valueInfo('x')],
        output: [valueInfo('y')],
        valueInfo: [valueInfo('h')],
        initializer: [floats('w', [1, 2])],
      },
    ),
    { producerName: 'test', metadataProps: [{ key: 'k', value: 'v' }], ...rest },
  );
}

/** What onnx-proto sees, as plain data that can be compared. */
export function asObject(bytes: Uint8Array): Record<string, unknown> {
  return onnx.ModelProto.toObject(onnx.ModelProto.decode(bytes), { longs: String, bytes: String, enums: Number });
}

/** One encoded field with a number that ONNX does not use. */
export function unknownField(id: number, text: string): Uint8Array {
  return plain(
    protobuf.Writer.create()
      .uint32(id * 8 + 2)
      .string(text)
      .finish(),
  );
}

export function concat(...pieces: readonly Uint8Array[]): Uint8Array {
  return plain(Buffer.concat(pieces));
}

/** One length-delimited field around `content`. */
export function field(id: number, content: Uint8Array): Uint8Array {
  return plain(
    protobuf.Writer.create()
      .uint32(id * 8 + 2)
      .bytes(content)
      .finish(),
  );
}

function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
