import { UserError } from '../errors.ts';

/** Why a conversion is refused, as a target's answer to whether it takes a model; undefined where it is not. */
export function refusalOf(convert: () => unknown): string | undefined {
  try {
    convert();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return undefined;
}
