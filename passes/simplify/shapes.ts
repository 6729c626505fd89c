import type { Shape } from '../../src/ir/types.ts';

export const formatShape = (shape: Shape | undefined): string =>
  shape ? `[${shape.map((dim) => dim ?? '?').join(', ')}]` : 'unknown';
