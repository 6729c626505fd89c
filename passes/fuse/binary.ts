import type { Match } from '../../src/rewrite/match.ts';
import type { Answer } from '../../src/rewrite/pattern.ts';
import type { Site } from '../../src/rewrite/rule.ts';

/** Add, Sub, Mul, Div and Gemm broadcast like numpy from opset 7 on; before, only where an attribute says so. */
export function binaryOperand(match: Match, site: Site): Answer {
  return site.opset >= 7 || `${match.root} is of opset ${site.opset}, which broadcasts by attributes`;
}
