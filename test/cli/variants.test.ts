import { expect, test } from 'vitest';
import { defaultVariants } from '../../src/cli/optimize/variants.ts';

test("ONNX Runtime's own operators are tried where its CPU provider is what ships", () => {
  const names = (...providers: string[]): string[] => [...defaultVariants(providers).build];
  expect(names('cpu')).toContain('fp32-runtime');
  expect(names('web-wasm', 'cpu:threads=2')).toContain('fp32-runtime');
  expect(names('web-wasm', 'web-webgpu')).not.toContain('fp32-runtime');
  expect(names('c99')).not.toContain('fp32-runtime');
});
