import { describe, expect, test } from 'vitest';
import { auditModel } from '../../src/engine/audit.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

describe.skipIf(!haveSharedModels)('audit', () => {
  test.each(sharedModelFiles)('%s %s', async (slug, file) => {
    const a = await auditModel(sharedModel(slug, file));
    console.log(slug, file, JSON.stringify(a, undefined, 1).slice(0, 1500));
    expect(a).toBeDefined();
  });
});
