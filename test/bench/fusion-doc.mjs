// Writes the part of docs/fusion.md that lists the rules of the fuse pass, each with the smallest golden case in which it is the only
// one that fires, once if there is such a case.
//
//   npm run build && node test/bench/fusion-doc.mjs
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fuse } from '../../dist/passes/fuse/fuse.js';

const page = new URL('../../docs/fusion.md', import.meta.url);
const cases = new URL('../cases/fuse/', import.meta.url);
const marker = '<!-- rules: written by test/bench/fusion-doc.mjs -->';

/** The operations of a model text, without constants and types. */
const body = (text) => text.slice(text.indexOf('{\n', text.lastIndexOf('main (')) + 2).split('\n}')[0].replaceAll(/^ {2}/gm, '');

const examples = new Map();
for (const file of readdirSync(cases).sort()) {
  const text = readFileSync(new URL(file, cases), 'utf8');
  const section = (name) => new RegExp(`^--- ${name}\\n([^]*?)(?=^--- |$(?![^]))`, 'm').exec(text)?.[1].trim();
  const applied = section('applied')?.split('\n') ?? [];
  const [rule, count] = applied[0]?.split(' ') ?? [];
  if (applied.length !== 1 || /<domain/.test(section('before'))) continue;
  const example = { title: text.split('\n')[0], before: body(section('before')), after: body(section('after')) };
  const known = examples.get(rule);
  const size = Number(count) * 1000 + example.before.length;
  if (!known || size < known.size) examples.set(rule, { ...example, size });
}

const parts = Object.entries(fuse.rules).map(([rule, summary]) => {
  const example = examples.get(rule);
  const shown = example ? `\n\n${example.title}\n\n\`\`\`\n${example.before}\n─────────\n${example.after}\n\`\`\`` : '';
  return `### ${rule}\n\n${summary[0].toUpperCase()}${summary.slice(1)}.${shown}\n`;
});
const text = readFileSync(page, 'utf8');
writeFileSync(page, `${text.slice(0, text.indexOf(marker))}${marker}\n\n${parts.join('\n')}`);
