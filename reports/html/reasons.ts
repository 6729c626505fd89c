/** Lists of `node: why`, grouped by the sentence: what passes left alone, what the audit found. */
import { groupBy } from '../../src/report/facts.ts';
import { sentence } from '../../src/report/words.ts';
import { type Budget, shorten } from './budget.ts';
import { type Html, html } from './escape.ts';
import { chip, code, plural } from './parts.ts';

export interface Reason {
  readonly node: string;
  readonly why: string;
  /** Rule or operator. */
  readonly label: string;
}

const groupsShown = 60;
const namesShown = 80;
/** Up to here names stand in the open; longer lists fold. */
const namesOpen = 4;
const sentenceLength = 320;

export function reasonList(reasons: readonly Reason[], budget: Budget): Html {
  const groups = groupBy(reasons, (reason) => `${reason.why}\0${reason.label}`);
  const shown = budget.take(groups, groupsShown);
  const items = shown.map(({ members }) => reasonItem(members, budget));
  const left = groups.length - shown.length;
  return html`<ul class="reasons">${items}${left > 0 && html`<li class="rest">${plural(left, 'more reason')} in <code>report.json</code>.</li>`}</ul>`;
}

function reasonItem(members: readonly Reason[], budget: Budget): Html {
  const [first] = members;
  const names = budget.take(
    members.map((member) => member.node),
    namesShown,
  );
  const left = members.length - names.length;
  const list = html`<span class="nodes">${names.map((name) => html`${code(name)} `)}${left > 0 && html`<span class="rest">and ${left} more</span>`}</span>`;
  return html`<li class="reason"><span class="times" aria-label="${plural(members.length, 'node')}">×${members.length}</span><div><p>${sentence(shorten(first?.why ?? '', sentenceLength))} ${chip(first?.label)}</p>${
    names.length <= namesOpen
      ? list
      : html`<details><summary>${plural(members.length, 'node')}</summary>${list}</details>`
  }</div></li>`;
}
