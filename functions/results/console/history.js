// What was submitted, newest first, with filters. The filters are in the fragment: a list can be linked to.
import { get } from './api.js';
import { bytes, field, h, moment, name, note, put, select, shown, table } from './dom.js';
import { badge } from './verdicts.js';

const PAGE = 50;
const FILTERS = ['from', 'to', 'result', 'code', 'q', 'rule', 'username'];
/** Codes of the verdict table that can be asked for. */
export const CODES = [[1, 'Infected'], [2, 'Suspicious'], [3, 'Failed'], [7, 'Allowlisted'], [8, 'Blocklisted'], [9, 'Exceeded Archive Depth'], [10, 'Not Scanned'], [12, 'Encrypted Archive'], [13, 'Exceeded Archive Size'], [14, 'Exceeded Archive File Number'], [15, 'Password Protected Document'], [16, 'Exceeded Archive Timeout'], [17, 'File type Mismatch'], [18, 'Potentially Vulnerable File'], [19, 'Canceled'], [20, 'Sensitive data found'], [21, 'Yara Rule Matched'], [22, 'Potentially Unwanted Program'], [23, 'Unsupported file type']];

export async function history({ query, context, content }) {
  const asked = Object.fromEntries(FILTERS.map((filter) => [filter, query.get(filter) ?? '']));
  const rows = h('div', { id: 'rows' });
  put(content, filters(asked), rows);
  await page(rows, asked, null, [], context);
}

function filters(asked) {
  const control = (filter, attributes) => h('input', { id: `filter-${filter}`, name: filter, value: asked[filter], ...attributes });
  return h('form', { class: 'card filters', role: 'search', 'aria-label': 'Filters', onsubmit: (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const query = new URLSearchParams(FILTERS.map((filter) => [filter, given.get(filter)]).filter(([, value]) => value));
    const next = `#/history${query.size ? `?${query}` : ''}`;
    if (location.hash === next) dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = next;
  } },
  field('Since', control('from', { type: 'datetime-local' })),
  field('Until', control('to', { type: 'datetime-local' })),
  field('Result', select([['', 'Any'], ['Allowed', 'Allowed'], ['Blocked', 'Blocked']], asked.result, { name: 'result', id: 'filter-result' })),
  field('Verdict', select([['', 'Any'], ['0', 'No Threat Detected'], ...CODES.map(([code, text]) => [String(code), text])], asked.code, { name: 'code', id: 'filter-code' })),
  field('Name has', control('q', { type: 'search', spellcheck: 'false' })),
  field('Rule', control('rule', { spellcheck: 'false' })),
  field('From user', control('username', { spellcheck: 'false' })),
  h('button', { class: 'primary' }, 'Show'));
}

/** One page; `before` are the rows of the pages before it. A page may be short, even empty, and go on all the same. */
async function page(place, asked, cursor, before, context) {
  const query = new URLSearchParams({ size: String(PAGE) });
  for (const [filter, value] of Object.entries(asked)) {
    if (value) query.set(filter, filter === 'from' || filter === 'to' ? new Date(value).toISOString() : value);
  }
  if (cursor) query.set('cursor', cursor);
  const answer = await get(`admin/history?${query}`);
  if (!context.isCurrent()) return;
  const all = [...before, ...answer.entries];
  const problem = h('div', {});
  const more = answer.cursor && h('button', { type: 'button', id: 'more', onclick: () => context.run(problem, () => page(place, asked, answer.cursor, all, context)) }, 'Show more');
  put(place,
    !context.may('scanlog', 'read') && note('info', 'These are your own submissions. Those of others need the right ', h('code', {}, 'scanlog'), ' (read).'),
    h('p', { class: 'count', role: 'status' }, all.length ? `${all.length} ${all.length === 1 ? 'submission' : 'submissions'}${answer.cursor ? ' so far' : ''}, newest first` : `Nothing fits these filters${answer.cursor ? ' so far' : ''}.`),
    all.length > 0 && table('Submissions, newest first', ['Name', 'Verdict', 'Ended', 'Size', 'From', 'Rule'], all.map(row)), more, problem);
  if (cursor) (place.querySelectorAll('tbody tr')[before.length]?.querySelector('a') ?? place.querySelector('#more'))?.focus();
}

function row(entry) {
  return [
    [h('a', { href: `#/file/${entry.data_id}` }, name(entry.display_name || 'without a name')), entry.children > 0 && h('span', { class: 'muted' }, ` and ${entry.children} in it`)],
    badge(entry.result, entry.text),
    moment(entry.ended_at),
    h('span', { class: 'size' }, bytes(entry.size)),
    shown(entry.username || '–'),
    shown(entry.rule),
  ];
}
