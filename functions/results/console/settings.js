// Settings: each document is a form of its own, made of what the server answers.
import { Failure, tagged } from './api.js';
import { announce, field, h, note, put, select, shown } from './dom.js';

// Path, title, right, and words for its fields: `[label, hint]`. A field without words is shown by its name.
const DOCUMENTS = [
  { path: 'admin/config/scan', title: 'Scanning', right: 'scan', fields: { max_queue_per_agent: ['Files that may wait', 'When so many wait, new ones are refused (503). 1 to 1 000 000.'] } },
  { path: 'admin/config/session', title: 'Sessions', right: 'scan', fields: {
    sessionTimeout: ['Idle time, ms', 'A session ends when it is not used for so long; 0: never.'],
    absoluteSessionTimeout: ['Whole time, ms', 'A session ends so long after the sign-in; 0: never.'],
    allowCrossIpSessions: ['One session may be used from several addresses', ''],
    allowDuplicateSession: ['One user may have several sessions', ''],
  } },
  { path: 'admin/config/webhook', title: 'Webhooks', right: 'scan', hidden: ['deplayprogression'], fields: {
    maxretrytime: ['Retries', 'After the first attempt.'],
    delayduration: ['Wait before the first retry, ms', ''],
    delayprogression: ['Every further wait is longer by, ms', ''],
  } },
  { path: 'admin/config/healthcheck', title: 'Health', right: 'scan', fields: {
    enable: ['Judge by these conditions', 'Otherwise /readyz only tells whether the parts answer.'],
    max_queue_percentage: ['Queue filled at most, %', ''],
    min_av_engines: ['Active scanners at least', ''],
    min_disk_percentage: ['Free disk at least, %', ''],
    required_engines: ['Engines that must be active', 'A JSON list of names.'],
  } },
  { path: 'admin/config/rescan', title: 'Rescans by themselves', right: 'scan', fields: {
    automatic: ['Begin when definitions change', ''],
    days: ['Files of the last days', ''],
    per_minute: ['Files a minute', '1 to 600.'],
  } },
  { path: 'admin/config/scanhistory', title: 'Keep results', right: 'retention', fields: { cleanuprange: ['Hours', '0: keep for ever.'] } },
  { path: 'admin/config/auditlog', title: 'Keep the audit log', right: 'retention', fields: { cleanuprange: ['Hours', '0: keep for ever.'] } },
  { path: 'admin/config/quarantine', title: 'Keep the quarantine', right: 'retention', fields: { cleanuprange: ['Hours', '0: keep for ever.'] } },
  { path: 'admin/config/sanitize', title: 'Keep sanitised files', right: 'retention', fields: { maxage: ['Minutes', '0: keep for ever.'] } },
  { path: 'admin/config/update', title: 'Updates', right: 'update', fields: {
    source: ['Source', '', ['internet', 'folder', 'manual']],
    autoupdateperiod: ['Every, minutes', ''],
    pickupfolder: ['Folder', ''],
    deleteafterimport: ['Delete files once they are taken', ''],
    disabledupdate: ['Times without updates', 'A JSON list; days 1 (Monday) to 7, minutes after midnight.'],
  } },
  { path: 'admin/config/skip', title: 'Lists of contents', right: 'skip', whole: true, hint: 'Hashes that are always let in (whitelist), always blocked (blacklist), or not looked at by some engines (skip).' },
];

export async function settings({ context, content }) {
  const places = DOCUMENTS.map((document) => h('section', { class: 'card', 'aria-label': document.title }));
  put(content, h('div', { class: 'settings' }, places));
  await Promise.all(DOCUMENTS.map(async (document, at) => {
    put(places[at], h('h2', {}, document.title), h('p', { class: 'waiting' }, 'Loading …'));
    const body = h('div', {});
    await context.run(body, async () => form(body, document, await tagged('GET', document.path), context), { name: document.right, access: 'read' });
    if (context.isCurrent()) put(places[at], h('h2', {}, document.title), body);
  }));
}

function form(place, document, { answer, revision }, context, said) {
  const mayWrite = context.may(document.right, 'write');
  const problem = h('div', {});
  const controls = document.whole ? [whole(document, answer, mayWrite)] : Object.entries(answer).filter(([name]) => !document.hidden?.includes(name)).map(([name, value]) => control(document, name, value, mayWrite));
  const save = async () => {
    const json = document.whole ? controls[0].read() : Object.fromEntries(controls.map((one) => [one.name, one.read()]));
    try {
      const saved = await tagged('PUT', document.path, { json, revision });
      announce(`${document.title}: saved.`);
      form(place, document, saved, context, note('success', 'Saved. In force everywhere within seconds.'));
      place.querySelector('button')?.focus();
    } catch (error) {
      if (!(error instanceof Failure) || ![409, 412].includes(error.status)) throw error;
      const now = await tagged('GET', document.path);
      form(place, document, now, context, note('warning', 'Somebody else changed these settings meanwhile. Nothing was saved; these are the settings in force now.'));
    }
  };
  put(place, h('form', { onsubmit: (event) => {
    event.preventDefault();
    put(problem);
    context.run(problem, save, { name: document.right, access: 'write' });
  } }, document.hint && h('p', { class: 'hint' }, document.hint), controls.map((one) => one.node),
  mayWrite ? h('button', { 'aria-label': `Save ${document.title}` }, 'Save') : h('p', { class: 'hint' }, 'To change this needs the right ', h('code', {}, document.right), ' (write).')), said, problem);
}

function control(document, name, value, mayWrite) {
  const [label, hint, choices] = document.fields?.[name] ?? [shown(name), ''];
  const off = { disabled: !mayWrite };
  let input;
  let read;
  if (choices) {
    input = select(choices.map((one) => [one, one]), value, off);
    read = () => input.value;
  } else if (typeof value === 'boolean') {
    input = h('input', { type: 'checkbox', checked: value, ...off });
    read = () => input.checked;
  } else if (typeof value === 'number') {
    input = h('input', { type: 'number', step: '1', required: true, value: String(value), ...off });
    read = () => input.valueAsNumber;
  } else if (typeof value === 'string') {
    input = h('input', { value, ...off });
    read = () => input.value;
  } else {
    return { name, ...json(label, hint, value, mayWrite) };
  }
  return { name, read, node: field(label, input, hint) };
}

function json(label, hint, value, mayWrite) {
  const input = h('textarea', { rows: '4', spellcheck: 'false', readonly: !mayWrite });
  input.value = JSON.stringify(value, null, 2);
  const read = () => {
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new Failure(400, `“${label}” is no JSON: ${error.message}.`);
    }
  };
  return { read, node: field(label, input, hint) };
}

function whole(document, value, mayWrite) {
  return json('Lists, as JSON', '{"whitelist": {"<hash>": {"comment": "why"}}, "blacklist": {}, "skip": {}}', value, mayWrite);
}
