import type { Finding } from '../../src/report/gate/finding.ts';
import type { GateResult } from '../../src/report/gate/gate.ts';
import { escapeText } from '../html/escape.ts';

/**
 * JUnit XML that both common schemas take, Jenkins' junit-10.xsd and Windy Road's JUnit.xsd (the Ant task): a test case for each rule
 * and variant. Rules that are undecided, or broken and only warn, are skipped tests; the sentences of all are in `system-out`.
 */
export function junitXml(result: GateResult): string {
  const { model, findings, createdAt, machine } = result;
  const failures = findings.filter(({ fails }) => fails).length;
  const skipped = findings.filter(({ fails, status }) => !fails && status !== 'ok').length;
  // Without zone and fraction: Windy Road's pattern. The time is UTC.
  const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.exec(createdAt)?.[0] ?? '1970-01-01T00:00:00';
  const totals = `tests="${findings.length}" failures="${failures}" errors="0" time="0"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="mlpack gate" ${totals}>`,
    `  <testsuite name="${attribute(model)}" package="mlpack.gate" id="0" hostname="localhost" timestamp="${timestamp}" skipped="${skipped}" ${totals}>`,
    `    <properties><property name="machine" value="${attribute(machine)}"/><property name="sha256" value="${attribute(result.sha256)}"/></properties>`,
    ...findings.map(testCase),
    `    <system-out>${escapeText(findings.map(({ rule, status, sentence }) => `${status} ${rule}: ${sentence}`).join('\n'))}</system-out>`,
    '    <system-err></system-err>',
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase({ rule, variant, status, fails, sentence }: Finding): string {
  const open = `    <testcase classname="${attribute(`mlpack.gate.${variant ?? 'report'}`)}" name="${attribute(rule)}" time="0"`;
  const text = attribute(sentence);
  if (fails) return `${open}><failure message="${text}" type="${status}">${escapeText(sentence)}</failure></testcase>`;
  if (status === 'ok') return `${open}/>`;
  return `${open}><skipped message="${status === 'failed' ? 'warning: ' : ''}${text}"/></testcase>`;
}

/** Line breaks in an attribute are read as spaces anyway, and a token has none. */
const attribute = (text: string): string => escapeText(text.replace(/\s+/g, ' ').trim());
