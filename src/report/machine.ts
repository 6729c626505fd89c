/** What tells machines apart whose times must not be compared. */
import { createHash } from 'node:crypto';
import type { Host } from './report.ts';

/** Processor, cores, instruction sets, system and runtime: what decides the time of an inference. */
const traits: readonly ((host: Host) => string)[] = [
  ({ cpu }) => cpu,
  ({ cores }) => `${cores} ${cores === 1 ? 'core' : 'cores'}`,
  ({ platform }) => platform,
  ({ flags }) => (flags.length > 0 ? [...flags].sort().join(' ') : 'unknown instruction sets'),
  ({ ort }) => `ONNX Runtime ${ort}`,
];

/** Eight hexadecimal digits: equal for machines whose times may be compared. */
export function fingerprint(host: Host): string {
  return createHash('sha256')
    .update(traits.map((trait) => trait(host)).join('\0'))
    .digest('hex')
    .slice(0, 8);
}

/** `Xeon there, EPYC here; 2 cores there, 4 cores here`, or undefined where times may be compared. */
export function machineDifference(here: Host, there: Host): string | undefined {
  const different = traits.filter((trait) => trait(here) !== trait(there));
  return different.length > 0
    ? different.map((trait) => `${trait(there)} there, ${trait(here)} here`).join('; ')
    : undefined;
}
