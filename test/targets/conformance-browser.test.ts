import { targets } from '../../targets/index.ts';
import { conforms } from './support/conformance.ts';
import { tempDir } from './support/temp.ts';

conforms(
  targets.filter(({ id }) => id === 'browser'),
  await tempDir(),
);
