import { dropLimitForm, readDropLimit } from '../drop-limit.ts';
import { UserError } from '../errors.ts';
import { nearest, suggestion } from '../messages.ts';
import type { OptionSpec, OptionTable, OptionValues } from './options.ts';
import type { Pass, Step } from './pass.ts';

/**
 * Turns a user's option values (from flags or a config file) into a step, checked against the pass's table.
 * @throws UserError naming the pass, the option, the value and what is allowed.
 */
export function makeStep(pass: Pass, given: Readonly<Record<string, unknown>>): Step {
  const options: Record<string, unknown> = {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(pass.options, name)) {
      throw new UserError(
        'option.unknown',
        `${pass.id} has no option "${name}"${nearest(name, Object.keys(pass.options))}.`,
      );
    }
  }
  for (const [name, spec] of Object.entries(pass.options)) {
    const value = given[name];
    options[name] = value === undefined ? spec.default : checkValue(`${pass.id}: ${name}`, spec, value);
  }
  return { pass, options };
}

/** A pass's options, the given ones checked and defaults filled in. Undefined stands for the default. @throws UserError as `makeStep` */
export function resolveOptions<T extends OptionTable>(
  pass: Pass<T>,
  given: { readonly [K in keyof T]?: unknown },
): OptionValues<T> {
  return makeStep(pass, given).options as OptionValues<T>;
}

/** Checks one value against its declaration; numbers and booleans may come as text. */
export function checkValue(where: string, spec: OptionSpec, value: unknown): unknown {
  const fail = (expected: string): never => {
    throw new UserError('option.value', `${where} takes ${expected}, not ${JSON.stringify(value)}.`);
  };
  switch (spec.type) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (value === 'true') return true;
      if (value === 'false') return false;
      return fail('true or false');
    case 'int':
    case 'number': {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      const range = [spec.min !== undefined && `at least ${spec.min}`, spec.max !== undefined && `at most ${spec.max}`]
        .filter(Boolean)
        .join(' and ');
      const expected = `${spec.type === 'int' ? 'a whole number' : 'a number'}${range && `, ${range}`}`;
      if (typeof number !== 'number' || !Number.isFinite(number)) return fail(expected);
      if (spec.type === 'int' && !Number.isInteger(number)) return fail(expected);
      if (spec.min !== undefined && number < spec.min) return fail(expected);
      if (spec.max !== undefined && number > spec.max) return fail(expected);
      return number;
    }
    case 'drop':
      return readDropLimit(value) ?? fail(dropLimitForm);
    case 'choice': {
      const found = spec.choices.find((choice) => String(choice) === String(value));
      return found ?? fail(`one of ${spec.choices.join(', ')}${suggestion(String(value), spec.choices.map(String))}`);
    }
    case 'list': {
      if (typeof value === 'string') return splitList(value);
      if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.flatMap(splitList);
      return fail('a list of names');
    }
    case 'string':
      return typeof value === 'string' ? value : fail('text');
  }
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
