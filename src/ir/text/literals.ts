import { type DType, dtypeKind } from '../dtype.ts';
import { elementCount, stringTensor, type Tensor } from '../tensor.ts';
import { type Dim, tensorType, type ValueType } from '../types.ts';
import { scalarCount, tensorFromElements } from './elements.ts';
import { filledTensor } from './fill.ts';
import { describe, type Lexer } from './lexer.ts';
import { dtypeFromText, isTypeWord } from './names.ts';

/** A text that asks for more scalars than this is a mistake. */
const maxScalars = 2 ** 26;

export function atType(lexer: Lexer): boolean {
  return lexer.token.kind === 'name' && isTypeWord(lexer.token.text);
}

export function parseType(lexer: Lexer): ValueType {
  if (!atType(lexer)) lexer.fail(`expected a type instead of ${describe(lexer.token)}`);
  const word = lexer.next().text;
  switch (word) {
    case 'seq':
    case 'optional': {
      lexer.expect('(');
      const element = lexer.nested(() => parseType(lexer));
      lexer.expect(')');
      return { kind: word === 'seq' ? 'sequence' : 'optional', element };
    }
    case 'sparse_tensor': {
      lexer.expect('(');
      const dense = lexer.nested(() => parseType(lexer));
      if (dense.kind !== 'tensor') lexer.fail('a sparse tensor is made of a tensor type');
      lexer.expect(')');
      return { ...dense, kind: 'sparse_tensor' };
    }
    case 'map': {
      lexer.expect('(');
      const key = dtypeFromText(lexer.name('a key type')) ?? lexer.fail('expected the element type of the keys');
      lexer.expect(',');
      const value = lexer.nested(() => parseType(lexer));
      lexer.expect(')');
      return { kind: 'map', key, value };
    }
    case 'opaque': {
      lexer.expect('(');
      const hex = lexer.string('an encoded type');
      if (!/^([0-9a-f]{2})*$/.test(hex)) lexer.fail('an opaque type is written in hexadecimal');
      lexer.expect(')');
      return { kind: 'opaque', bytes: Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) };
    }
    default:
      return tensorType(dtypeFromText(word) ?? lexer.fail(`unknown type "${word}"`), parseShape(lexer));
  }
}

/** Nothing: a scalar · `[]`: unknown rank · `[2,N,?]`. */
function parseShape(lexer: Lexer): readonly Dim[] | undefined {
  if (!lexer.take('[')) return [];
  if (lexer.take(']')) return undefined;
  const dims: Dim[] = [];
  do {
    const { at } = lexer.token;
    const { text, quoted } = lexer.dim();
    if (!quoted && /^\d+$/.test(text)) {
      if (!Number.isSafeInteger(Number(text))) lexer.fail('this dimension is too large', at);
      dims.push(Number(text));
    } else dims.push(text === '?' && !quoted ? undefined : text);
  } while (lexer.take(','));
  lexer.expect(']');
  return dims;
}

/** The data behind a tensor type: `{1, 2}`, `random(7)`, `random(7, 0, 1)`, `fill(0)`, `range(0)`. */
export function parseTensorData(lexer: Lexer, type: ValueType): Tensor {
  if (type.kind !== 'tensor') lexer.fail('only tensors have data in the text form');
  const { dtype } = type;
  const shape = (type.shape ?? []).map((dim) => {
    if (typeof dim !== 'number') lexer.fail('a tensor with data needs a fixed shape');
    return dim;
  });
  if (scalarCount(dtype, shape) > maxScalars) lexer.fail(`a tensor in text has at most ${maxScalars} elements`);
  const { at } = lexer.token;
  if (lexer.token.kind === 'name') {
    const kind = lexer.next().text;
    const tensor = filledTensor(dtype, shape, kind, parseArguments(lexer));
    return typeof tensor === 'string' ? lexer.fail(tensor, at) : tensor;
  }
  lexer.expect('{');
  if (lexer.is('...')) {
    lexer.fail(
      'the data of this tensor was left out: print it with `elements: Infinity`, or write random(seed) or fill(value)',
    );
  }
  return dtypeKind(dtype) === 'string' ? parseStrings(lexer, shape, at) : parseNumbers(lexer, dtype, shape, at);
}

function parseArguments(lexer: Lexer): number[] {
  const args: number[] = [];
  lexer.expect('(');
  while (!lexer.is(')')) {
    args.push(Number(parseNumber(lexer)));
    if (!lexer.take(',')) break;
  }
  lexer.expect(')');
  return args;
}

function parseStrings(lexer: Lexer, shape: readonly number[], at: number): Tensor {
  const strings: Uint8Array[] = [];
  while (!lexer.is('}')) {
    strings.push(lexer.bytes('a string'));
    if (!lexer.take(',')) break;
  }
  lexer.expect('}');
  if (strings.length !== elementCount(shape))
    lexer.fail(`${strings.length} strings do not fill [${shape.join(',')}]`, at);
  return stringTensor(shape, strings);
}

function parseNumbers(lexer: Lexer, dtype: DType, shape: readonly number[], at: number): Tensor {
  const values: (number | bigint)[] = [];
  while (!lexer.is('}')) {
    values.push(parseNumber(lexer));
    if (!lexer.take(',')) break;
  }
  lexer.expect('}');
  const count = scalarCount(dtype, shape);
  if (values.length !== count)
    lexer.fail(`${values.length} values do not fill ${dtype}[${shape.join(',')}] (${count})`, at);
  const tensor = tensorFromElements(dtype, shape, values);
  return typeof tensor === 'string' ? lexer.fail(tensor, at) : tensor;
}

const words: ReadonlyMap<string, number> = new Map([
  ['inf', Number.POSITIVE_INFINITY],
  ['nan', Number.NaN],
  ['true', 1],
  ['false', 0],
]);

/** Integers exactly, everything else (`1.5`, `-inf`, `nan`, `-0`) as a number; `true` and `false` are 1 and 0. */
export function parseNumber(lexer: Lexer): number | bigint {
  const { kind, text } = lexer.token;
  if (kind === 'int') {
    lexer.next();
    // No integer type holds so many digits; a float is what they come to.
    if (text.length > 40) return Number(text);
    return text === '-0' ? -0 : BigInt(text.replace(/^\+/, ''));
  }
  const value =
    kind === 'float' ? Number(text.replace(/inf(inity)?$/, 'Infinity')) : kind === 'name' ? words.get(text) : undefined;
  if (value === undefined) lexer.fail(`expected a number instead of ${describe(lexer.token)}`);
  lexer.next();
  return value;
}
