import type { GateResult } from '../../src/report/gate.ts';
import type { Finding } from '../../src/report/gate-judge.ts';
import { escapeText } from '../html/escape.ts';

/** JUnit XML: a test case for each rule and variant; undecided rules are skipped tests, rules that only warn pass with a note. */
export function junitXml({ model, findings }: GateResult): string {
  const failures = findings.filter(({ fails }) => fails).length;
  const skipped = findings.filter(({ fails, status }) => !fails && status === 'undecided').length;
  const counts = `tests="${findings.length}" failures="${failures}" errors="0" skipped="${skipped}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="mlpack gate" ${counts}>`,
    `  <testsuite name="${escapeText(model)}" ${counts}>`,
    ...findings.map(testCase),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase(finding: Finding): string {
  const { rule, variant, status, fails, sentence } = finding;
  const open = `    <testcase classname="${escapeText(`mlpack.gate.${variant ?? 'report'}`)}" name="${escapeText(rule)}"`;
  const text = escapeText(sentence);
  if (fails) return `${open}><failure message="${text}" type="${status}">${text}</failure></testcase>`;
  if (status === 'undecided') return `${open}><skipped message="${text}"/></testcase>`;
  return `${open}><system-out>${status === 'failed' ? 'warning: ' : ''}${text}</system-out></testcase>`;
}
