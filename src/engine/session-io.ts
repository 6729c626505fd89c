import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { IoInfo } from '../report/report.ts';
import { canExchange } from './ort-tensor.ts';

/**
 * The outputs asked for; by default those that can be handed out (no sequences, maps or sub-byte types).
 * @throws UserError for an output that there is not, or that cannot be handed out.
 */
export function wantedOutputs(
  has: readonly IoInfo[],
  asked: readonly string[] | undefined,
  label: string,
): readonly string[] {
  const names = asked ?? has.filter((output) => canExchange(output.dtype)).map((output) => output.name);
  const checked = names.length > 0 ? names : has.map((output) => output.name);
  for (const name of checked) {
    const info = has.find((output) => output.name === name);
    if (!info) {
      const known = has.map((output) => `"${output.name}"`).join(', ');
      throw new UserError('output-unknown', `${label} has no output "${name}"; it has ${known}.`);
    }
    // A sub-byte output makes the Node binding allocate without bound: never ask for one.
    if (!canExchange(info.dtype)) {
      throw new UserError(
        'dtype-not-exchangeable',
        `Output "${name}" of ${label} is of type ${info.dtype}, which ONNX Runtime cannot hand out${
          info.dtype === 'non-tensor'
            ? ' in JavaScript (scores as maps: mlpack tensor-outputs makes them a tensor)'
            : ''
        }.`,
      );
    }
  }
  return checked;
}

/** @throws UserError when an input is missing, or has another type or shape than the model says. */
export function checkFeeds(inputs: readonly IoInfo[], feeds: ReadonlyMap<string, Tensor>, label: string): void {
  for (const input of inputs) {
    const tensor = feeds.get(input.name);
    if (!tensor) {
      throw new UserError(
        'input-missing',
        `${label} needs an input "${input.name}" (${describe(input)}); none was given.`,
      );
    }
    if (input.dtype !== tensor.dtype || !fits(input.shape, tensor.shape)) {
      throw new UserError(
        'input-mismatch',
        `Input "${input.name}" of ${label} is ${describe(input)}, but was given ${tensor.dtype}[${tensor.shape.join(', ')}].`,
      );
    }
  }
}

function describe(info: IoInfo): string {
  return `${info.dtype}[${(info.shape ?? ['…']).map((dim) => dim ?? '?').join(', ')}]`;
}

/** An empty shape in the runtime's metadata means a scalar or an unknown rank: nothing to hold against it. */
function fits(expected: IoInfo['shape'], actual: readonly number[]): boolean {
  if (!expected || expected.length === 0) return true;
  if (expected.length !== actual.length) return false;
  return expected.every((dim, axis) => typeof dim !== 'number' || dim === actual[axis]);
}
