/**
 * SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), as code scanning reads it: a result for each rule that is broken
 * (error or warning) or undecided (note), located in the model file. Rules that were kept have no result; all are in the list of rules.
 */
import { createHash } from 'node:crypto';
import type { Finding } from '../../src/report/gate/finding.ts';
import type { GateResult } from '../../src/report/gate/gate.ts';

export function gateSarif(result: GateResult, version: string): string {
  const { findings, sha256, bytes, createdAt, ok, machine } = result;
  const ids = [...new Set(findings.map(({ rule }) => rule))];
  const log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'mlpack', version, rules: ids.map((id) => ruleOf(id, findings)) } },
        automationDetails: { id: 'mlpack-gate/' },
        // Successful: the gate could judge. Whether it passes is in `properties`.
        invocations: [{ executionSuccessful: true }],
        artifacts: [
          {
            location: locationOf(result),
            length: bytes,
            mimeType: 'application/octet-stream',
            roles: ['analysisTarget'],
            hashes: { 'sha-256': sha256 },
          },
        ],
        results: findings.flatMap((finding) => resultOf(finding, ids, result)),
        properties: { ok, measuredAt: createdAt, machine },
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

function ruleOf(id: string, findings: readonly Finding[]): object {
  const level = findings.find(({ rule }) => rule === id)?.level === 'warn' ? 'warning' : 'error';
  return {
    id,
    name: id
      .split(/[^A-Za-z0-9]+/)
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join(''),
    shortDescription: { text: `Rule ${id} of the mlpack gate` },
    help: { text: 'docs/ci.md of mlpack describes the rules and how to set them in mlpack.config.' },
    defaultConfiguration: { level },
  };
}

function resultOf(finding: Finding, ids: readonly string[], result: GateResult): object[] {
  const { rule, status, fails, variant, targets, value, limit, sentence } = finding;
  if (status === 'ok') return [];
  const key = [rule, variant ?? '', ...targets].join('\0');
  return [
    {
      ruleId: rule,
      ruleIndex: ids.indexOf(rule),
      level: fails ? 'error' : status === 'failed' ? 'warning' : 'note',
      message: { text: sentence },
      // A model has no lines; code scanning wants one.
      locations: [
        {
          physicalLocation: { artifactLocation: { ...locationOf(result), index: 0 }, region: { startLine: 1 } },
          ...(variant !== null && { logicalLocations: [{ name: variant, kind: 'member' }] }),
        },
      ],
      // The same rule on the same variant is the same alert in every run.
      partialFingerprints: { 'mlpackGate/v1': createHash('sha256').update(key).digest('hex') },
      properties: { status, variant, targets, value, limit },
    },
  ];
}

/** Relative to the root of the repository where the path is relative; `file:` where it is absolute. */
function locationOf({ model }: GateResult): object {
  const path = model.replaceAll('\\', '/');
  const isAbsolute = /^(\/|[A-Za-z]:\/)/.test(path);
  const encoded = path
    .split('/')
    .map((part) => encodeURIComponent(part.replace(/\p{Cs}/gu, '\uFFFD')))
    .join('/');
  if (isAbsolute)
    return { uri: `file://${path.startsWith('/') ? '' : '/'}${encoded.replace(/^([A-Za-z])%3A/, '$1:')}` };
  return { uri: encoded.replace(/^(?:\.\/)+/, ''), uriBaseId: '%SRCROOT%' };
}
