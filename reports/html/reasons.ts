/** Lists of `node: why`, grouped by the sentence, those that keep most weights as they are first: what passes left alone, what the audit found. */
import { groupBy } from '../../src/report/facts.ts';
import { sentence } from '../../src/report/words.ts';
import { type Budget, shorten } from './budget.ts';
import { type Html, html } from './escape.ts';
import { chip, code, nameLength, plural } from './parts.ts';

export interface Reason {
  readonly node: string;
  readonly why: string;
  /** Rule or operator. */
  readonly label: string;
  readonly weightBytes?: number | undefined;
}

const groupsShown = 60;
const namesShown = 80;
/** Up to here names stand in the open; longer lists fold. */
const namesOpen = 4;
const sentenceLength = 320;

export function reasonList(reasons: readonly Reason[], budget: Budget): Html {
  const weightOf = (members: readonly Reason[]): number =>
    members.reduce((sum, { weightBytes = 0 }) => sum + weightBytes, 0);
  const groups = groupBy(reasons, (reason) => `${reason.why}\0${reason.label}`)
    .map((group) => ({ ...group, weight: weightOf(group.members) }))
    .sort((a, b) => b.weight - a.weight);
  const items: Html[] = [];
  for (const { members } of groups.slice(0, groupsShown)) {
    const text = sentence(shorten(members[0]?.why ?? '', sentenceLength));
    if (!budget.fits(text)) break;
    items.push(reasonItem(text, members, budget));
  }
  const left = groups.length - items.length;
  return html`<ul class="reasons">${items}${left > 0 && html`<li class="rest">${plural(left, 'more reason')} in <code>report.json</code>.</li>`}</ul>`;
}

function reasonItem(text: string, members: readonly Reason[], budget: Budget): Html {
  const names: Html[] = [];
  for (const { node } of members.slice(0, namesShown)) {
    const name = shorten(node, nameLength);
    if (!budget.fits(name)) break;
    names.push(html`${code(name)} `);
  }
  const left = members.length - names.length;
  const list = html`<span class="nodes">${names}${left > 0 && html`<span class="rest">and ${left} more</span>`}</span>`;
  const all = plural(members.length, 'node');
  return html`<li class="reason"><span class="times" aria-label="${all}">×${members.length}</span><div><p>${text} ${chip(members[0]?.label)}</p>${
    names.length <= namesOpen ? list : html`<details><summary>${all}</summary>${list}</details>`
  }</div></li>`;
}
