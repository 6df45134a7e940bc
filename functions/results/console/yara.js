// YARA: the sources, the package made of them with its problems, generation and the way back.
import { call, get } from './api.js';
import { announce, confirm, facts, field, h, moment, note, put, select, shown, table } from './dom.js';

const WRITE = { name: 'engines', access: 'write' };
const SOURCES = 'admin/config/yara/sources';
const STATES = { idle: 'No generation runs', inprogress: 'A generation runs', error: 'The last generation failed; the package in force stayed' };

export async function yara({ context, content }) {
  const [sources, status] = await Promise.all([get(SOURCES), get('yara/package')]);
  if (!context.isCurrent()) return;
  const left = h('section', { 'aria-labelledby': 'sources' });
  const right = h('section', { 'aria-labelledby': 'package' });
  put(content, right, left);
  drawSources(left, sources, false, context);
  await drawPackage(right, status, context);
}

function drawSources(place, sources, changed, context, said) {
  const mayWrite = context.may('engines', 'write');
  const problem = h('div', {});
  const kinds = [['local_sources', 'S3 prefix'], ['http_sources', 'ZIP on the web']];
  const next = (change) => {
    const copy = structuredClone(sources);
    change(copy);
    drawSources(place, copy, true, context);
  };
  const rows = kinds.flatMap(([kind, title]) => sources[kind].map((source, at) => [
    h('code', {}, shown(source.source)),
    title,
    mayWrite
      ? select([['enabled', 'Used'], ['disabled', 'Not used']], source.state, { 'aria-label': `State of ${shown(source.source)}`, onchange: (event) => next((copy) => { copy[kind][at].state = event.target.value; }) })
      : source.state === 'enabled' ? 'Used' : 'Not used',
    mayWrite ? h('button', { type: 'button', class: 'small', 'aria-label': `Remove ${shown(source.source)}`, onclick: () => next((copy) => copy[kind].splice(at, 1)) }, 'Remove') : '',
  ]));
  const kind = select(kinds, 'local_sources', { id: 'source-kind' });
  const address = h('input', { id: 'source', required: true, spellcheck: 'false', placeholder: 's3://bucket/prefix/ or https://example.com/rules.zip' });
  put(place, h('h2', { id: 'sources' }, 'Sources'), said,
    rows.length ? table('Sources of YARA rules', ['Source', 'Kind', 'State', ...(mayWrite ? ['Action'] : [])], rows.map((row) => (mayWrite ? row : row.slice(0, 3)))) : h('p', { class: 'empty' }, 'There is no source.'),
    changed && note('warning', 'These changes are not saved yet.'),
    mayWrite && h('form', { class: 'card', onsubmit: (event) => {
      event.preventDefault();
      next((copy) => copy[kind.value].push({ source: address.value.trim(), state: 'enabled' }));
    } }, h('h3', {}, 'Add a source'), field('Kind', kind), field('Source', address), h('button', {}, 'Add')),
    mayWrite && h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'primary', disabled: !changed, onclick: () => context.run(problem, async () => {
      const saved = await call('PUT', SOURCES, { json: sources });
      drawSources(place, saved, false, context, note('success', 'The sources are saved. They count with the next generation.'));
      announce('The sources are saved.');
    }, WRITE) }, 'Save the sources')),
    problem);
}

async function drawPackage(place, status, context) {
  const problem = h('div', {});
  const mayWrite = context.may('engines', 'write');
  const runs = status.status === 'inprogress';
  const act = (action) => () => context.run(problem, async () => drawPackage(place, await action(), context), WRITE);
  const issues = Object.entries(status.issues ?? {}).flatMap(([source, list]) => list.map((issue) => [h('code', {}, shown(source)), h('span', { class: `severity ${issue.severity === 'error' ? 'error' : 'warning'}` }, shown(issue.severity)), shown(issue.message)]));
  put(place, h('h2', { id: 'package' }, 'Package'),
    h('p', { role: 'status', class: 'state' }, `${STATES[status.status] ?? shown(status.status)}.`, runs && [' Since ', moment(status.start_time), '.']),
    facts([['In force', described(status.package) || 'none yet'], ['Before', described(status.previous)]]),
    issues.length > 0 && [h('h3', {}, `Problems of the last generation (${issues.length})`), table('Problems by source', ['Source', 'Severity', 'Problem'], issues)],
    mayWrite && h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'primary', disabled: runs, onclick: act(() => call('POST', 'yara/generate')) }, 'Generate a package'),
      status.previous && h('button', { type: 'button', disabled: runs, onclick: act(async () => {
        const sure = await confirm('Put the package before this one in force again? Scans follow within a minute.', 'Go back');
        return sure ? call('POST', 'yara/rollback') : status;
      }) }, 'Go back to the package before')),
    !mayWrite && note('info', 'To generate packages needs the right ', h('code', {}, 'engines'), ' (write).'),
    problem);
  if (!runs) return;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  if (!context.isCurrent() || !place.isConnected) return;
  const later = await get('yara/package');
  if (!context.isCurrent()) return;
  if (later.status !== 'inprogress') announce(STATES[later.status] ?? later.status);
  await drawPackage(place, later, context);
}

function described(one) {
  return one && [`${one.rules} rules in ${one.files} files, made `, moment(one.created), ' ', h('code', { class: 'muted' }, shown(one.version).slice(0, 16))];
}
