import { type OptionValues, opt } from '../../src/pass/options.ts';

/** Options of the browser target. */
export const options = {
  provider: opt.choice(
    ['auto', 'wasm', 'webgpu'],
    'auto',
    'what runs the model; auto decides by its operators and size',
  ),
  gpuFrom: opt.number(
    8,
    'megabytes of the model from which WebGPU goes before WebAssembly, where no report has times of both: a rule of thumb',
    { min: 0 },
  ),
  webgpuRuntime: opt.choice(
    ['jspi', 'asyncify', 'both'],
    'jspi',
    'WebAssembly build for WebGPU: jspi is 17 MB and needs promise integration, asyncify is 27 MB and runs everywhere WebGPU does',
  ),
  splitRuntime: opt.boolean(
    true,
    'first load the part of the WebAssembly runtime that the model was seen to need, the rest when it is needed or nothing else is to do',
  ),
  host: opt.choice(
    ['any', 'cloudflare', 'github', 'netlify', 'vercel', 'nginx'],
    'any',
    'where the folder will be hosted: files are cut where the host takes none of their size; any cuts for all of them',
  ),
};

export type Options = OptionValues<typeof options>;
