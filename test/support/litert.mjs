import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';

const require = createRequire(import.meta.url);

/** What LiteRT.js exchanges; other element types stay inside a model. */
const arrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

let runtime;

/**
 * LiteRT as Google builds it for pages (@litertjs/core), in Node: the interpreter and XNNPACK compiled to WebAssembly, with which this package shares no line.
 * The build without relaxed SIMD, which Node 20 lacks. Its loader asks for `importScripts`, as in a worker; it says much at every start, of which only
 * errors are passed on.
 */
async function load() {
  const script = require.resolve('@litertjs/core').replace('dist/index.js', 'wasm/litert_wasm_compat_internal.js');
  const said = [];
  // It asks for a graphics card, and warns at length where there is none to ask.
  const gpu = { requestAdapter: async () => ({ limits: {}, features: new Set(), requestDevice: async () => null }) };
  const world = {
    self: globalThis,
    navigator: { gpu },
    Module: { print: () => {}, printErr: (line) => said.push(line) },
    importScripts(url) {
      const module = { exports: {} };
      const names = ['module', 'exports', 'require', '__filename', '__dirname'];
      compileFunction(readFileSync(url, 'utf8'), names)(module, module.exports, require, url, dirname(url));
      globalThis.ModuleFactory = module.exports;
    },
  };
  const before = Object.entries(world).map(([name, value]) => {
    const own = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    return [name, own];
  });
  try {
    const litert = await import('@litertjs/core');
    await litert.loadLiteRt(script);
    return { ...litert, said };
  } finally {
    for (const [name, own] of before) {
      if (own) Object.defineProperty(globalThis, name, own);
      else delete globalThis[name];
    }
  }
}

/**
 * Opens a TensorFlow Lite model.
 * @param {Uint8Array} bytes
 * @returns a function from inputs by name ({ shape, values }) to outputs by name
 * @throws Error with LiteRT's own words when it refuses the file
 */
export async function openLite(bytes) {
  runtime ??= load();
  const { loadAndCompile, Tensor, said } = await runtime;
  said.length = 0;
  let model;
  try {
    model = await loadAndCompile(bytes, { accelerator: 'wasm' });
  } catch (error) {
    throw new Error(`LiteRT refuses the file: ${error.message ?? error}\n${said.join('\n')}`, { cause: error });
  }
  return async (inputs) => {
    const feeds = {};
    for (const { name, dtype, shape } of model.getInputDetails()) {
      const given = inputs[name];
      if (given.shape.join() !== [...shape].join())
        throw new Error(`"${name}" is [${given.shape}], LiteRT expects [${[...shape]}]`);
      feeds[name] = new Tensor(arrays[dtype].from(given.values), given.shape);
    }
    const results = await model.run(feeds);
    const outputs = {};
    for (const [name, tensor] of Object.entries(results)) {
      outputs[name] = { shape: [...tensor.type.layout.dimensions], values: tensor.toTypedArray().slice() };
      tensor.delete();
    }
    for (const tensor of Object.values(feeds)) tensor.delete();
    return outputs;
  };
}
