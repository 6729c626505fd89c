import { dropLimitForm, readDropLimit } from '../drop-limit.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import { checkGateRules } from '../report/gate/rules.ts';
import type { Config } from './config.ts';

type Check = (value: unknown) => boolean;

/** Numbers as numbers: a config is data, not text. */
const isDropLimit: Check = (value) =>
  (typeof value === 'number' || String(value).endsWith('%')) && readDropLimit(value) !== undefined;
const isText: Check = (value) => typeof value === 'string' && value !== '';
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isPositive: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value > 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** By name, or made by calling the pass in a config of JavaScript: then the pass has its id. */
const isStep: Check = (value) =>
  isText(value) || (isObject(value) && (isText(value.pass) || (isText(idOf(value.pass)) && isObject(value.options))));
const idOf = (pass: unknown): unknown =>
  isObject(pass) || typeof pass === 'function' ? (pass as { readonly id?: unknown }).id : undefined;

const isData: Check = (value) =>
  isText(value) ||
  (isObject(value) &&
    isText(value.path) &&
    (value.samples === undefined || (isCount(value.samples) && value.samples !== 0)) &&
    (value.allowModules === undefined || typeof value.allowModules === 'boolean') &&
    Object.keys(value).every((key) => ['path', 'samples', 'allowModules'].includes(key)));
const isVariants: Check = (value) =>
  isObject(value) && Object.values(value).every((steps) => Array.isArray(steps) && steps.every(isStep));
const isTargets: Check = (value) =>
  isTexts(value) ||
  (isObject(value) &&
    Object.values(value).every((one) => isObject(one) && (one.from === undefined || isText(one.from))));

const keys: Readonly<Record<keyof Config, readonly [check: Check, expected: string]>> = {
  model: [isText, 'a path or hub id'],
  out: [isText, 'a folder'],
  data: [isData, 'a folder, or { path, samples, allowModules }'],
  variants: [isVariants, 'lists of steps by variant name'],
  targets: [isTargets, 'a list of target ids, or { id: { from, …options } }'],
  providers: [isTexts, 'a list of provider ids'],
  maxDrop: [isDropLimit, dropLimitForm],
  seed: [isCount, 'a whole number from 0'],
  seconds: [isPositive, 'a number of seconds above 0'],
  inputShape: [isTexts, 'a list such as ["batch=1"]'],
  gate: [isObject, 'rules by name, such as { size: { max: "30%" } }'],
};

export const configKeys: readonly string[] = Object.keys(keys);

/** @throws UserError naming the file, the key, and what is expected there. */
export function validateConfig(value: unknown, file: string): Config {
  if (!isObject(value))
    throw new UserError('config.shape', `"${file}" must give one object (export default defineConfig({ … })).`);
  for (const [key, entry] of Object.entries(value)) {
    if (!Object.hasOwn(keys, key)) {
      throw new UserError('config.unknown', `"${file}": there is no setting "${key}"${nearest(key, configKeys)}.`);
    }
    if (key === 'variants') checkVariantNames(entry, file);
    const [check, expected] = keys[key as keyof Config];
    if (entry !== undefined && !check(entry)) {
      throw new UserError('config.value', `"${file}": ${key} takes ${expected}, not ${preview(entry)}.`);
    }
  }
  if (value.gate !== undefined) checkGateRules(value.gate, `"${file}"`);
  return value;
}

/** Names become folders of the output, and `base` is the model as it came. */
function checkVariantNames(variants: unknown, file: string): void {
  for (const name of isObject(variants) ? Object.keys(variants) : []) {
    if (name === 'base')
      throw new UserError('config.variant', `"${file}": "base" is the model as it came; call the variant otherwise.`);
    if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) {
      throw new UserError(
        'config.variant',
        `"${file}": the variant name "${name}" cannot be a folder's; use letters, digits, ".", "_" and "-", beginning with a letter or digit.`,
      );
    }
  }
}

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
