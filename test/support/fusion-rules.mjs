/** The part of docs/fusion.md that lists the rules of the fuse pass. */
import { readdirSync, readFileSync } from 'node:fs';

const cases = new URL('../cases/fuse/', import.meta.url);

export const marker = '<!-- rules: written by test/bench/fusion-doc.mjs -->';

/** The operations of a model text, without constants and types. */
const body = (text) => text.slice(text.indexOf('{\n', text.lastIndexOf('main (')) + 2).split('\n}')[0].replaceAll(/^ {2}/gm, '');

/** The smallest golden case of each rule in which it is the only one that fires, once if there is such a case. */
function examples() {
  const found = new Map();
  for (const file of readdirSync(cases).sort()) {
    const text = readFileSync(new URL(file, cases), 'utf8');
    const section = (name) => new RegExp(`^--- ${name}\\n([^]*?)(?=^--- |$(?![^]))`, 'm').exec(text)?.[1].trim();
    const applied = section('applied')?.split('\n') ?? [];
    const [rule, count] = applied[0]?.split(' ') ?? [];
    if (applied.length !== 1 || /<domain/.test(section('before'))) continue;
    const example = { title: text.split('\n')[0], before: body(section('before')), after: body(section('after')) };
    const known = found.get(rule);
    const size = Number(count) * 1000 + example.before.length;
    if (!known || size < known.size) found.set(rule, { ...example, size });
  }
  return found;
}

/** @param {Record<string, string>} rules what each one does @returns {string} from the marker on */
export function describeRules(rules) {
  const known = examples();
  const parts = Object.entries(rules).map(([rule, summary]) => {
    const example = known.get(rule);
    const shown = example ? `\n\n${example.title}\n\n\`\`\`\n${example.before}\n─────────\n${example.after}\n\`\`\`` : '';
    return `### ${rule}\n\n${summary[0].toUpperCase()}${summary.slice(1)}.${shown}\n`;
  });
  return `${marker}\n\n${parts.join('\n')}`;
}
