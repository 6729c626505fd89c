/** The rule about what ONNX Runtime fused: an export that changed a little may lose a fusion, and with it the speed. */
import { nearest } from '../../messages.ts';
import { type Judgement, percent, type Subject, undecided } from './finding.ts';
import type { FusedRule } from './rules.ts';

export function judgeFused({ minShare, ops = {} }: FusedRule, { variant: { audit } }: Subject): Judgement {
  if (!audit) return undecided('there is no fusion audit of it');
  const heavy = audit.quantizedNodes + audit.floatNodes;
  const share = heavy > 0 ? audit.quantizedNodes / heavy : null;
  const parts: string[] = [];
  let ok = true;
  if (minShare !== undefined) {
    if (share === null) return undecided('it has no heavy nodes, so there is no share of them on integers');
    ok = share >= minShare - 1e-12;
    parts.push(
      `${audit.quantizedNodes} of ${heavy} heavy nodes run on integers, ${percent(share)}, where at least ${percent(minShare)} is asked`,
    );
  }
  for (const [op, least] of Object.entries(ops)) {
    const count = countOf(op, audit.fusedOps);
    if (count >= least) {
      parts.push(`${count} × ${op}, where at least ${least} is asked`);
      continue;
    }
    ok = false;
    const names = Object.keys(audit.fusedOps);
    const hint = count === 0 && least > 0 ? nearest(op, names) : '';
    parts.push(`${count} × ${op}${hint}, where at least ${least} is asked`);
  }
  return {
    status: ok ? 'ok' : 'failed',
    said: parts.join('; '),
    ...(minShare !== undefined && share !== null && { value: share, limit: minShare }),
  };
}

/** `FusedConv` counts with any domain, `com.microsoft:FusedConv` with that one. */
function countOf(op: string, fused: Readonly<Record<string, number>>): number {
  const matching = Object.entries(fused).filter(([name]) => name === op || name.split(':').at(-1) === op);
  return matching.reduce((sum, [, count]) => sum + count, 0);
}
