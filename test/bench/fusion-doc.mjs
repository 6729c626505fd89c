// Writes the part of docs/fusion.md that lists the rules of the fuse pass.
//
//   npm run build && node test/bench/fusion-doc.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { fuse } from '../../dist/passes/fuse/fuse.js';
import { describeRules, marker } from '../support/fusion-rules.mjs';

const page = new URL('../../docs/fusion.md', import.meta.url);
const text = readFileSync(page, 'utf8');
writeFileSync(page, `${text.slice(0, text.indexOf(marker))}${describeRules(fuse.rules)}`);
