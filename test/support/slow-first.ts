import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Test files of more than half a minute, the longest first; Vitest goes by size where it has no earlier times, as in CI. */
const slow = [
  'test/targets/conformance.test.ts',
  'test/targets/browser-loading.test.ts',
  'test/cli/reproduce.test.ts',
  'test/reports/browser.test.ts',
  'test/cli/commands.test.ts',
  'test/targets/browser-split.test.ts',
  'test/targets/browser-page.test.ts',
  'test/cli/optimize-browser.test.ts',
  'test/targets/conformance-browser.test.ts',
  'test/targets/update-faults.test.ts',
  'test/cli/optimize-mixes.test.ts',
  'test/cli/optimize.test.ts',
  'test/targets/updates.test.ts',
  'test/cli/optimize-mixed.test.ts',
  'test/targets/batch.test.ts',
  'test/targets/transformers-js.test.ts',
  'test/passes/shared-models.test.ts',
  'test/targets/browser-elsewhere.test.ts',
  'test/targets/embedded-c.test.ts',
  'test/targets/stream-tls.test.ts',
];

function rank({ moduleId }: TestSpecification): number {
  const at = slow.findIndex((path) => moduleId.endsWith(`/${path}`));
  return at === -1 ? slow.length : at;
}

/** Begins with what takes long: begun last, it would run alone while the other workers have nothing left. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
