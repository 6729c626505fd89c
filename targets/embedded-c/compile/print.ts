import { convLines, dot, intConv, product, rowsByRows, smallProduct } from '../kernels/conv.ts';
import { prelude } from '../kernels/prelude.ts';
import { floatTiles, intTiles } from '../kernels/tile.ts';
import { convTranspose } from '../ops/conv-transpose.ts';
import { elementFunctions } from '../ops/element-functions.ts';
import { averagePool, maxPool } from '../ops/pool.ts';
import { gru, lstm, rnn } from '../ops/recurrent.ts';
import { softmax } from '../ops/reduce.ts';
import type { Program } from './compile.ts';
import type { Block, Ref } from './types.ts';

/** Text of each kernel, in the order in which they may call each other. */
const texts: readonly (readonly [name: string, text: string, needs?: readonly string[]])[] = [
  ['elements', elementFunctions],
  [
    'copy',
    'static void copy_bytes(void* to, const void* from, int bytes) {\n  for (int i = 0; i < bytes; ++i) ((u8*)to)[i] = ((const u8*)from)[i];\n}\n',
  ],
  [
    'mirror',
    'static inline int mirror(int i, int n) {\n  if (n == 1) return 0;\n  for (;;) { if (i < 0) i = -i; else if (i >= n) i = 2 * (n - 1) - i; else return i; }\n}\n',
  ],
  ['tiles', floatTiles],
  ['int_tiles', intTiles],
  ['conv_shape', ''],
  ['conv', '', ['tiles', 'conv_shape']],
  ['product', product, ['tiles']],
  ['dot', dot],
  ['rows_by_rows', rowsByRows, ['dot']],
  ['small_product', smallProduct],
  ['conv_transpose', convTranspose],
  ['max_pool_f32', maxPool('f32', '-INFINITY')],
  ['max_pool_i8', maxPool('i8', '-128')],
  ['max_pool_u8', maxPool('u8', '0')],
  ['average_pool', averagePool],
  ['softmax', softmax],
  ['lstm', lstm, ['dot', 'elements']],
  ['gru', gru, ['dot', 'elements']],
  ['rnn', rnn, ['dot', 'elements']],
];

const [shapeText = '', convText = ''] = convLines.split('\n\n');

function kernelTexts(program: Program): string {
  const wanted = new Set(program.kernels);
  const intConvs = [...wanted].filter((name) => /^conv_(i8|u8)_/.test(name)).sort();
  if (intConvs.length > 0) for (const name of ['int_tiles', 'conv_shape']) wanted.add(name);
  for (let grew = true; grew; ) {
    const before = wanted.size;
    for (const [name, , needs = []] of texts) if (wanted.has(name)) for (const one of needs) wanted.add(one);
    grew = wanted.size > before;
  }
  const parts: string[] = [];
  for (const [name, text] of texts) {
    if (!wanted.has(name)) continue;
    if (name === 'conv_shape') parts.push(`${shapeText}\n`);
    else if (name === 'conv') parts.push(`${convText}\n`);
    else parts.push(text);
  }
  if (wanted.has('requantize') && !wanted.has('int_tiles')) parts.unshift(intTiles.slice(0, intTiles.indexOf('#if')));
  for (const name of intConvs) {
    const [, type, out] = /^conv_(i8|u8)_(i8|u8|f32)$/.exec(name) ?? [];
    parts.push(intConv(type as 'i8', out as 'i8'));
  }
  return parts.join('\n');
}

const width = 120;

/** Bytes as adjacent string literals: compilers read them twenty times faster than lists of numbers (docs/edge.md). */
function stringLiteral(bytes: Uint8Array): string {
  const lines: string[] = [];
  let line = '';
  for (const byte of bytes) {
    line += escapes[byte] ?? '';
    if (line.length >= width) {
      lines.push(`"${line}"`);
      line = '';
    }
  }
  if (line !== '') lines.push(`"${line}"`);
  return lines.join('\n');
}

/** Letters and digits as they are, the rest as three octal digits: no digit behind can lengthen them, and no trigraph arises. */
const escapes: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const letter = String.fromCharCode(byte);
  return /[A-Za-z0-9 .,;:+*/=()<>[\]{}!$&@^_|~#-]/.test(letter) && byte < 128
    ? letter
    : `\\${byte.toString(8).padStart(3, '0')}`;
});

export interface Names {
  /** Prefix of all that is visible: a C identifier. */
  readonly prefix: string;
  readonly title: string;
}

/** Value names as C identifiers, none twice. */
export function portNames(ports: readonly { readonly value: { readonly name: string } }[]): string[] {
  const used = new Set(['x', 'y']);
  return ports.map(({ value }, at) => {
    const plain = value.name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
    let name = /^[A-Za-z]/.test(plain) && !keywords.has(plain) ? plain : `tensor_${plain || at}`;
    // Macros have the same names in capitals.
    while (used.has(name.toLowerCase())) name = `${name}_${at}`;
    used.add(name.toLowerCase());
    return name;
  });
}

/** Of C and, since the header is for C++ too, of that; and the types that the header names. */
const keywords: ReadonlySet<string> = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while ' +
    'alignas alignof and and_eq asm bitand bitor bool catch class compl concept const_cast consteval constexpr constinit decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast requires static_assert static_cast template this thread_local throw true try typeid typename using virtual wchar_t xor xor_eq ' +
    'int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t NAN INFINITY'
  ).split(' '),
);

const publicTypes: Readonly<Record<string, string>> = {
  f32: 'float',
  i8: 'int8_t',
  u8: 'uint8_t',
  i16: 'int16_t',
  u16: 'uint16_t',
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
};

function signature(program: Program, { prefix }: Names, ins: readonly string[], outs: readonly string[]): string {
  const parameters = [
    ...program.inputs.map(({ ref }, i) => `const ${publicTypes[ref.type]}* ${ins[i]}`),
    ...program.outputs.map(({ ref }, i) => `${publicTypes[ref.type]}* ${outs[i]}`),
  ];
  return `void ${prefix}_run(${parameters.join(', ')})`;
}

export function printHeader(program: Program, names: Names): string {
  const { prefix, title } = names;
  const upper = prefix.toUpperCase();
  const outs = portNames([...program.inputs, ...program.outputs]).slice(program.inputs.length);
  const ins = portNames(program.inputs);
  const size = (name: string, ref: Ref): string =>
    `#define ${upper}_${name.toUpperCase()}_COUNT ${ref.shape.reduce((a, b) => a * b, 1)} /* ${ref.type} [${ref.shape.join(', ')}] */`;
  return `/* ${title}. Made by mlpack; do not edit. */
#ifndef ${upper}_H
#define ${upper}_H

#include <stdint.h>

/* Elements of each input and output. */
${[...program.inputs.map(({ ref }, i) => size(ins[i] ?? '', ref)), ...program.outputs.map(({ ref }, i) => size(outs[i] ?? '', ref))].join('\n')}

/* Bytes of working memory, which is static: ${prefix}_run calls nothing but math functions and is not reentrant. */
#define ${upper}_ARENA_BYTES ${program.memory.bytes}

#ifdef __cplusplus
extern "C" {
#endif

/* Row-major tensors of the caller. Outputs may not overlap inputs. */
${signature(program, names, ins, outs)};

#ifdef __cplusplus
}
#endif

#endif
`;
}

export function printSource(program: Program, names: Names): string {
  const { prefix, title } = names;
  const { memory } = program;
  // Within, names of the model could hide functions and variables of the code.
  const [ins, outs] = [program.inputs.map((_, i) => `input_${i}`), program.outputs.map((_, i) => `output_${i}`)];
  const own = new Map([
    ...program.inputs.map(({ ref }, i) => [ref.block.name, ins[i]] as const),
    ...program.outputs.map(({ ref }, i) => [ref.block.name, outs[i]] as const),
  ]);
  const address = (of: Ref | Block): string => {
    const block = 'block' in of ? of.block : of;
    const type = 'type' in of ? of.type : 'void';
    if (block.kind === 'input') return `(const ${type}*)${own.get(block.name)}`;
    if (block.kind === 'output') return `((${type}*)${own.get(block.name)})`;
    if (block.kind === 'constant') return `((const ${type}*)(const void*)${block.name}.bytes)`;
    return `((${type}*)(void*)(arena.bytes + ${memory.offsets.get(block) ?? 0}))`;
  };
  const widest = Math.max(
    1,
    ...program.steps.map((step) => Number(/conv_shape shape = \{(?:\d+, ){7}(\d+)/.exec(step.code(address))?.[1] ?? 1)),
  );
  const constants = program.constants.map(
    ({ block, bytes }) =>
      `static const union { char bytes[${Math.max(1, bytes.length)}]; f32 f; i64 i; } ALIGNED ${block.name} = {\n${stringLiteral(bytes) || '""'}};`,
  );
  const steps = program.steps.map(
    (step) => `/* ${step.title.replaceAll('*/', '* /').replaceAll('/*', '/ *')} */\n{\n  ${step.code(address)}\n}`,
  );
  const read = new Set(program.steps.flatMap(({ reads }) => reads.map(({ block }) => block)));
  const unused = program.inputs.flatMap(({ ref }) => (read.has(ref.block) ? [] : [own.get(ref.block.name) ?? '']));
  return `/* ${title}. Made by mlpack; do not edit. C99, no allocation, no library but math. Little-endian. */
#include "model.h"
${prelude}
#define CONV_WIDTH ${widest}

${kernelTexts(program)}
${constants.join('\n')}

static union { u8 bytes[${Math.max(1, memory.bytes)}]; f32 f; i64 i; } ALIGNED arena MAYBE_UNUSED;

${signature(program, names, ins, outs)} {
${unused.map((name) => `(void)${name};\n`).join('')}${steps.join('\n')}
}

/* ${prefix}: ${memory.bytes} bytes of working memory; no plan of these steps can do with fewer than ${memory.lowerBound}. */
`;
}
