import { describe, expect, it } from 'vitest';
import { loadedName, restModule, splitModule, tableName } from '../../src/wasm/split.ts';
import { watchFunctions } from '../../src/wasm/watch.ts';
import { forTable, smallModule, type Twist, type WasmTable, wasm } from './small-module.ts';

interface Exports {
  main(a: number, b: number): number;
  letter(): number;
  count: { value: number };
  [name: string]: unknown;
}

function environment(): { imports: Record<string, unknown>; logged: number[] } {
  const logged: number[] = [];
  const memory = new wasm.Memory({ initial: 1, maximum: 2 });
  return { imports: { e: { log: (n: number) => logged.push(n), m: memory } }, logged };
}

function instantiate(bytes: Uint8Array, imports: Record<string, unknown>): Exports {
  return new wasm.Instance(new wasm.Module(bytes), imports).exports as unknown as Exports;
}

/** The module in two parts, loading the second when it is asked for. */
function inParts(ran: readonly number[], twist?: Twist): { exports: Exports; logged: number[]; loads: () => number } {
  const { primary, rest, loader } = splitModule(smallModule(twist), (n) => ran.includes(n));
  const { imports, logged } = environment();
  const exports = instantiate(primary, imports);
  let loads = 0;
  const load = (): void => {
    loads++;
    instantiate(rest, { ...imports, [restModule]: exports });
    (exports[loadedName] as { value: number }).value = 1;
  };
  (exports[tableName] as WasmTable).set(loader, forTable(load, 0));
  return { exports, logged, loads: () => loads };
}

const calls: [number, number][] = [
  [5, 0],
  [5, 1],
  [7, 2],
  [7, 3],
  [9, 1],
];

describe('splitModule', () => {
  it('gives what the whole gives, whatever is deferred', () => {
    const whole = environment();
    const expected = instantiate(smallModule(), whole.imports);
    const answers = calls.map((one) => expected.main(...one));
    expect(answers).toEqual([6, 16, 8, 700, 28]);
    for (let kept = 0; kept < 1 << 7; kept++) {
      const { exports, logged } = inParts([0, 1, 2, 3, 4, 5, 6].filter((n) => kept & (1 << n)));
      expect(calls.map((one) => exports.main(...one))).toEqual(answers);
      expect(exports.letter()).toBe(65);
      expect(logged).toEqual([5, 9]);
      expect(exports.count.value).toBe(2);
    }
  });

  it('loads the rest once, when a deferred function is called, and not before', () => {
    const { exports, loads } = inParts([1, 5, 6]);
    expect([exports.main(5, 0), exports.main(7, 2), loads()]).toEqual([6, 8, 0]);
    expect([exports.main(7, 3), loads()]).toEqual([700, 1]);
    expect([exports.main(5, 1), exports.main(9, 1), loads()]).toEqual([16, 28, 1]);
  });

  it('leaves code that stays as it was, and nothing of what nobody can reach from there', () => {
    const bytes = smallModule();
    const all = splitModule(bytes, () => true);
    const some = splitModule(bytes, (n) => n !== 2 && n !== 3);
    expect([all.deferred, some.deferred]).toEqual([0, 2]);
    const text = (part: Uint8Array): string => Buffer.from(part).toString('latin1');
    // a * 3, as deep has it.
    expect(text(some.primary)).not.toContain('\x20\x00\x41\x03\x6c');
    expect(text(some.rest)).toContain('\x20\x00\x41\x03\x6c');
    expect(text(some.primary)).toContain(text(bytes).slice(-20));
    expect(splitModule(bytes, (n) => n === 1).primary).toEqual(splitModule(bytes, (n) => n === 1).primary);
  });

  it('passes on what the loader throws, and asks it again', () => {
    const { primary, loader } = splitModule(smallModule(), (n) => n === 5);
    const exports = instantiate(primary, environment().imports);
    let asked = 0;
    const fails = (): void => {
      asked++;
      throw new Error('no network');
    };
    (exports[tableName] as WasmTable).set(loader, forTable(fails, 0));
    for (let n = 1; n <= 2; n++) {
      expect(() => exports.main(1, 1)).toThrow('no network');
      expect(asked).toBe(n);
    }
  });

  it.each<[Twist, RegExp]>([
    [{ exportName: '.l' }, /exports names that begin with a dot/],
    [{ tables: 2 }, /2 tables instead of one/],
    // table.size
    [{ inCold: [0xfc, 16, 0, 0x1a] }, /changes its table of functions, or asks for its size/],
    // An instruction of garbage collection.
    [{ inCold: [0xfb, 0] }, /instruction 0xfb, which is not known/],
  ])('refuses %j', (twist, why) => {
    expect(() => splitModule(smallModule(twist), () => false)).toThrow(why);
  });

  it('says of bytes that are no module what they are not', () => {
    expect(() => splitModule(Uint8Array.of(1, 2, 3), () => false)).toThrow('no WebAssembly module');
    expect(() => splitModule(smallModule().subarray(0, 100), () => false)).toThrow('in its middle');
  });
});

describe('watchFunctions', () => {
  it('tells once of each function that runs, but for those that run at the start', () => {
    const { bytes, hook, functions, untold } = watchFunctions(smallModule());
    expect([functions, untold]).toEqual([7, [0]]);
    const exports = instantiate(bytes, environment().imports);
    const told: number[] = [];
    (exports.table as WasmTable).set(
      hook,
      forTable((n) => told.push(n), 1),
    );
    expect(calls.map((one) => exports.main(...one))).toEqual([6, 16, 8, 700, 28]);
    expect(told).toEqual([5, 1, 2, 3, 4]);
  });
});
