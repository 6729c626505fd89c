import { UserError } from '../../src/errors.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { type MilType, maxRank } from './schema.ts';

/** What a constant holds: numbers (bool as 0 and 1), or one text. */
export type MilData = Float32Array | Int32Array | string;

/** A value of the program: made by an operation, an input, or a constant. */
export interface Ref {
  readonly name: string;
  readonly type: MilType;
  readonly shape: readonly number[];
  readonly data?: MilData;
}

export interface MilOp {
  readonly type: string;
  /** Values by parameter; a list for parameters that take several. */
  readonly inputs: Readonly<Record<string, readonly Ref[]>>;
  readonly outputs: readonly Ref[];
}

/** Words of MIL's text form, which are no names there. */
const reserved = new Set(
  'any bool program func tensor list dict tuple true false string bf16 fp16 fp32 fp64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 state'.split(
    ' ',
  ),
);

/** A name as MIL wants it, [A-Za-z_][A-Za-z0-9_]*; not yet unique. */
export function identifier(name: string): string {
  const clean = name.replace(/[^A-Za-z0-9_]/g, '_');
  const begun = /^[A-Za-z_]/.test(clean) ? clean : `_${clean}`;
  return reserved.has(begun) ? `${begun}_` : begun;
}

/** An ML program of one function and one block under construction. */
export class MilGraph {
  readonly inputs: Ref[] = [];
  readonly ops: MilOp[] = [];
  readonly outputs: Ref[] = [];
  readonly #names = new Set<string>();
  readonly #shared = new Map<string, Ref>();

  /** @param taken names that inputs and outputs will have, which nothing else may take */
  constructor(taken: readonly string[]) {
    for (const name of taken) this.#names.add(name);
  }

  input(name: string, type: MilType, shape: readonly number[]): Ref {
    const ref = { name, type, shape };
    this.inputs.push(ref);
    return ref;
  }

  /** A constant: an operation of its own, as MIL has it. Small ones that are equal are shared. */
  constant(name: string, type: MilType, shape: readonly number[], data: MilData): Ref {
    const small = typeof data === 'string' || data.length <= 16;
    const key = small ? `${type}[${shape.join()}]${typeof data === 'string' ? data : bits(data)}` : undefined;
    const known = key === undefined ? undefined : this.#shared.get(key);
    if (known) return known;
    const ref: Ref = { name: this.#unique(name), type, shape, data };
    this.ops.push({ type: 'const', inputs: {}, outputs: [ref] });
    if (key !== undefined) this.#shared.set(key, ref);
    return ref;
  }

  /** Appends an operation. Parameters that are undefined are left out. `exact` names are taken as they are. */
  op(
    type: string,
    inputs: Readonly<Record<string, Ref | readonly Ref[] | undefined>>,
    outputs: readonly (Omit<Ref, 'data'> & { readonly exact?: boolean })[],
  ): Ref[] {
    const given: Record<string, readonly Ref[]> = {};
    for (const [name, value] of Object.entries(inputs)) {
      if (value !== undefined) given[name] = Array.isArray(value) ? value : [value as Ref];
    }
    const refs = outputs.map(({ name, type: own, shape, exact }): Ref => {
      if (shape.length > maxRank) {
        throw new UserError(
          'coreml-unsupported',
          `"${name}" has ${shape.length} axes ([${shape.join(', ')}]); Core ML takes at most ${maxRank}.`,
        );
      }
      return { name: exact ? name : this.#unique(name), type: own, shape };
    });
    this.ops.push({ type, inputs: given, outputs: refs });
    return refs;
  }

  #unique(name: string): string {
    const base = identifier(name);
    let free = base;
    for (let n = 1; this.#names.has(free); n++) free = `${base}_${n}`;
    this.#names.add(free);
    return free;
  }
}

function bits(data: Float32Array | Int32Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
}

/** Bytes of weights as they are stored. */
export function weightBytes(graph: MilGraph): number {
  const width = { fp16: 2, fp32: 4, int32: 4, bool: 1, string: 0 } as const;
  return graph.ops
    .filter(({ type }) => type === 'const')
    .reduce((sum, { outputs: [ref] }) => sum + (ref ? elementCount(ref.shape) * width[ref.type] : 0), 0);
}
