import type { IoInfo } from '../../src/report/report.ts';
import { protocolDatatypes as datatypes } from '../../src/target/datatypes.ts';
import { rowOf, takesRows } from '../../src/target/json-rows.ts';
import { bytesOfNumbers, fitsJson, jsonData } from '../../src/target/number-bytes.ts';
import type { Artifact, GoldenTensor } from '../../src/target/target.ts';

/** What every host takes: Vertex AI's shared endpoints stop at 1.5 MB, Lambda at 6. */
const largest = 1_000_000;

/** Inputs to try the model with: the first recorded case, or zeros where that has no short form in JSON. */
function* candidates({ golden, inputs }: Artifact): Iterable<readonly GoldenTensor[]> {
  const [first] = golden;
  if (first?.inputs.every(fitsJson)) yield first.inputs;
  const made = inputs.map(zeros);
  if (made.every((tensor) => tensor !== undefined)) yield made;
}

/** Every variable dimension 1, which models take more often than not. */
function zeros({ name, dtype, shape }: IoInfo): GoldenTensor | undefined {
  const dims = shape?.map((dim) => (typeof dim === 'number' ? dim : 1));
  const count = dims?.reduce((product, dim) => product * dim, 1) ?? Number.POSITIVE_INFINITY;
  if (dims === undefined || dtype === 'string' || count > largest) return undefined;
  return { name, dtype, shape: dims, bytes: bytesOfNumbers(dtype, Array(count).fill(0)) };
}

function firstThatFits(artifact: Artifact, write: (tensors: readonly GoldenTensor[]) => unknown): string | undefined {
  for (const tensors of candidates(artifact)) {
    const text = JSON.stringify(write(tensors), shortFloats(tensors));
    if (text.length <= largest) return `${text}\n`;
  }
  return undefined;
}

/** 0.1 of a float32 is 0.10000000149011612 as a double; the shortest text that reads back as the same float will do. */
function shortFloats(tensors: readonly GoldenTensor[]): ((key: string, value: unknown) => unknown) | undefined {
  if (!tensors.every(({ dtype }) => dtype !== 'float64')) return undefined;
  return (_, value) => {
    if (typeof value !== 'number' || Number.isInteger(value)) return value;
    for (let digits = 6; digits <= 9; digits++) {
      const short = Number(value.toPrecision(digits));
      if (Math.fround(short) === value) return short;
    }
    return value;
  };
}

/** A request of the Open Inference Protocol. Undefined where none of a megabyte can be made. */
export function exampleRequest(artifact: Artifact): string | undefined {
  return firstThatFits(artifact, (tensors) => ({
    inputs: tensors.map((tensor) => ({
      name: tensor.name,
      datatype: datatypes[tensor.dtype],
      shape: tensor.shape,
      data: jsonData(tensor),
    })),
  }));
}

/** A request of Vertex AI, with the rows of one case. */
export function exampleInstances(artifact: Artifact): string | undefined {
  return firstThatFits(artifact, (tensors) => {
    const rows = takesRows(artifact) ? (tensors[0]?.shape[0] ?? 1) : 1;
    return {
      instances: Array.from({ length: rows }, (_, i) => {
        const row = rowOf(tensors, takesRows(artifact) ? i : undefined);
        return tensors.length === 1 ? Object.values(row)[0] : row;
      }),
    };
  });
}

/** One row as a line of JSON, for the batch program and the streaming worker. */
export function exampleRow(artifact: Artifact): string | undefined {
  return firstThatFits(artifact, (tensors) => rowOf(tensors, takesRows(artifact) ? 0 : undefined));
}
