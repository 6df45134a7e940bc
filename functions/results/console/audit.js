// The audit log: who changed what, when, from where, and how it was before and after.
import { get } from './api.js';
import { field, h, moment, name, put, shown, table } from './dom.js';

const PAGE = 50;
const FILTERS = ['from', 'to', 'user', 'action'];

export async function audit({ query, context, content }) {
  const asked = Object.fromEntries(FILTERS.map((filter) => [filter, query.get(filter) ?? '']));
  const rows = h('div', { id: 'rows' });
  await page(rows, asked, null, [], context);
  if (context.isCurrent()) put(content, filters(asked), rows);
}

function filters(asked) {
  const control = (filter, attributes) => h('input', { name: filter, value: asked[filter], ...attributes });
  return h('form', { class: 'card filters', role: 'search', 'aria-label': 'Filters', onsubmit: (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const query = new URLSearchParams(FILTERS.map((filter) => [filter, given.get(filter)]).filter(([, value]) => value));
    const next = `#/audit${query.size ? `?${query}` : ''}`;
    if (location.hash === next) dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = next;
  } },
  field('Since', control('from', { type: 'datetime-local' })), field('Until', control('to', { type: 'datetime-local' })),
  field('User', control('user', { spellcheck: 'false', placeholder: 'LOCAL/admin' })), field('Action', control('action', { spellcheck: 'false', placeholder: 'config' })), h('button', { class: 'primary' }, 'Show'));
}

async function page(place, asked, cursor, before, context) {
  const query = new URLSearchParams({ size: String(PAGE) });
  for (const [filter, value] of Object.entries(asked)) {
    if (value) query.set(filter, filter === 'from' || filter === 'to' ? new Date(value).toISOString() : value);
  }
  if (cursor) query.set('cursor', cursor);
  const answer = await get(`admin/auditlog?${query}`);
  if (!context.isCurrent()) return;
  const all = [...before, ...answer.entries];
  const problem = h('div', {});
  put(place,
    h('p', { class: 'count', role: 'status' }, all.length ? `${all.length} ${all.length === 1 ? 'entry' : 'entries'}${answer.cursor ? ' so far' : ''}, newest first` : `Nothing fits these filters${answer.cursor ? ' so far' : ''}.`),
    all.length > 0 && table('Audit log, newest first', ['When', 'Who', 'From', 'What', 'Change'], all.map(row)),
    answer.cursor && h('button', { type: 'button', id: 'more', onclick: () => context.run(problem, () => page(place, asked, answer.cursor, all, context)) }, 'Show more'), problem);
  if (cursor) (place.querySelectorAll('tbody tr')[before.length]?.querySelector('summary') ?? place.querySelector('#more'))?.focus();
}

function row(entry) {
  const state = (title, value) => value !== null && value !== undefined && [h('p', {}, title), h('pre', { tabindex: '0' }, shown(JSON.stringify(value, null, 1)).replaceAll('⟨U+000A⟩', '\n'))];
  const has = (entry.before ?? null) !== null || (entry.after ?? null) !== null;
  return [
    moment(entry.time),
    name(entry.user),
    shown(entry.ip) || '–',
    [h('code', {}, shown(entry.action)), ' ', name(entry.target ?? '')],
    has ? h('details', { class: 'tight' }, h('summary', {}, 'Before and after'), state('Before', entry.before), state('After', entry.after)) : '–',
  ];
}
