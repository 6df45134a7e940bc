// Rescan: stored files are judged again under the rules and definitions in force now.
import { call, get } from './api.js';
import { announce, confirm, facts, field, h, moment, name, note, put, select, shown, table } from './dom.js';
import { CODES } from './history.js';

const PATH = 'admin/rescan';
const WRITE = { name: 'scan', access: 'write' };
const STATES = { none: 'No rescan was started yet', running: 'A rescan runs', done: 'The last rescan has ended', cancelled: 'The last rescan was stopped' };
const COUNTS = [['changed', 'Another verdict'], ['cleared', 'Clean by now, still held back'], ['unchanged', 'The same verdict'], ['gone', 'File not stored any more'], ['failed', 'No new verdict']];
const TEXTS = new Map([[0, 'No Threat Detected'], ...CODES]);

export async function rescan({ context, content }) {
  await draw(content, await get(PATH), context);
}

async function draw(place, job, context, said) {
  const status = String(job.status).toLowerCase();
  const runs = status === 'running';
  const mayWrite = context.may('scan', 'write');
  const problem = h('div', {});
  const files = (job.files ?? []).map((file) => [h('a', { href: `#/file/${file.data_id}` }, h('code', {}, file.data_id)), TEXTS.get(file.before) ?? shown(file.before), TEXTS.get(file.after) ?? shown(file.after), COUNTS.find(([word]) => word === file.change)?.[1] ?? shown(file.change)]);
  put(place, said,
    h('p', { role: 'status' }, `${STATES[status] ?? shown(status)}.`),
    status !== 'none' && facts([
      ['Files of', [moment(job.from), ' to ', moment(job.to)]],
      ['Only', [job.result, job.rule && `rule ${job.rule}`, job.code !== undefined && TEXTS.get(job.code)].filter(Boolean).map(shown).join(', ')],
      ['Started by', [name(job.started_by), ', ', moment(job.started)]],
      ['Ended', job.ended && moment(job.ended)],
      ['Handed out', `${job.handed_out} files, ${job.per_minute} a minute${job.all_handed_out ? '; these are all' : ''}`],
      ['What is found clean', job.release ? 'is let through' : 'stays held back'],
      ...COUNTS.map(([word, title]) => [title, `${job[word]}`]),
    ].map(([term, value]) => [term, value || ''])),
    files.length > 0 && [h('h2', {}, 'Files with another verdict'), table('Files with another verdict', ['File', 'Before', 'Now', 'What became of it'], files)],
    mayWrite && (runs
      ? h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'danger', onclick: () => context.run(problem, async () => {
        if (await confirm('Stop the rescan? What is being judged ends; nothing more is begun.', 'Stop it')) await draw(place, await call('DELETE', PATH), context);
      }, WRITE) }, 'Stop the rescan'))
      : form(place, context)),
    !mayWrite && note('info', 'To start a rescan needs the right ', h('code', {}, 'scan'), ' (write).'),
    problem);
  if (!runs) return;
  await new Promise((resolve) => setTimeout(resolve, 3000));
  if (!context.isCurrent() || !problem.isConnected) return;
  const later = await get(PATH);
  // A question that is open, or a message, is not drawn over.
  if (!context.isCurrent() || !problem.isConnected) return;
  if (String(later.status).toLowerCase() !== 'running') announce(STATES.done);
  await draw(place, later, context);
}

function form(place, context) {
  const problem = h('div', {});
  const from = h('input', { type: 'datetime-local', required: true, id: 'rescan-from' });
  const to = h('input', { type: 'datetime-local' });
  const result = select([['', 'Any'], ['Allowed', 'Allowed'], ['Blocked', 'Blocked']], 'Allowed', {});
  const rule = h('input', { spellcheck: 'false' });
  const rate = h('input', { type: 'number', min: '1', max: '600', step: '1', value: '60', required: true });
  const release = h('input', { type: 'checkbox' });
  return h('form', { class: 'card', 'aria-label': 'New rescan', onsubmit: (event) => {
    event.preventDefault();
    put(problem);
    context.run(problem, async () => {
      const time = (input) => new Date(input.value).toISOString();
      const json = { from: time(from), per_minute: rate.valueAsNumber, release: release.checked };
      if (to.value) json.to = time(to);
      if (result.value) json.result = result.value;
      if (rule.value) json.rule = rule.value;
      if (json.release && !(await confirm('Let files through that are found clean now? Rules that were taken back by mistake then open them.', 'Let them through'))) return;
      const job = await call('POST', PATH, { json });
      announce('The rescan has begun.');
      document.querySelector('h1').focus();
      await draw(place, job, context);
    }, WRITE);
  } }, h('h2', {}, 'New rescan'), h('p', { class: 'hint' }, 'What is held back now is so under its own id; webhooks are sent once more.'),
  field('Files since', from), field('Until', to, 'Empty: now.'), field('With the result', result), field('Of the rule', rule, 'Empty: any.'),
  field('Files a minute', rate, '1 to 600.'), field('Let files through that are found clean now', release),
  h('button', { class: 'primary' }, 'Start'), problem);
}
