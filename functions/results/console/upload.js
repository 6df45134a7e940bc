// Scan files: choose or drop them, several at once; progress of the upload and of the scan.
import { Failure, SessionEnded, encoded, get, refused, session, url } from './api.js';
import { announce, bytes, field, h, name, note, put, select, shown } from './dom.js';
import { badge } from './verdicts.js';

/** Uploads that run at the same time. */
const AT_ONCE = 3;
/** Waits between two looks at a scan, in ms; the last one stays. */
const PAUSES = [150, 250, 400, 600, 1000, 1500, 2000];

// Files of this tab, newest first. They go on while other views are shown.
const items = [];
let owner = null;
let running = 0;
let list = null;
let onEnded = () => {};

export async function upload({ context, content }) {
  // Somebody else signed in: what was sent before is not for him.
  if (owner !== (session?.me.username ?? null)) items.length = 0;
  owner = session?.me.username ?? null;
  const { rules, max_body_size: largestBody } = await get('limits');
  if (!rules.length) return note('warning', 'There is no rule that you may use. Ask an administrator for one.');
  onEnded = context.again;
  const rule = select(rules.map((one) => [one.rule, `${one.rule} (up to ${bytes(one.max_file_size)})`]), rules[0].rule, { id: 'rule' });
  const passwords = h('textarea', { id: 'passwords', rows: '2', spellcheck: 'false', autocomplete: 'off' });
  const choose = h('input', { type: 'file', id: 'files', multiple: true });
  const problem = h('div', {});
  list = h('ul', { class: 'items', id: 'items' });

  const take = (files) => {
    put(problem);
    const limit = rules.find((one) => one.rule === rule.value);
    for (const one of files) {
      add({ file: one, rule: rule.value, largestBody, limit: limit.max_file_size, passwords: passwords.value.split('\n').filter(Boolean) });
    }
    start();
  };
  choose.addEventListener('change', () => {
    take([...choose.files]);
    choose.value = '';
  });
  const zone = h('div', { class: 'drop', id: 'drop' },
    h('p', {}, h('label', { for: 'files', class: 'strong' }, 'Choose files'), ' or drop them here'), choose);
  for (const kind of ['dragenter', 'dragover']) zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    const given = [...event.dataTransfer.items].filter((one) => one.kind === 'file');
    const folders = given.filter((one) => one.webkitGetAsEntry?.()?.isDirectory);
    take(given.filter((one) => !folders.includes(one)).map((one) => one.getAsFile()));
    if (folders.length) put(problem, note('warning', 'Folders can not be dropped here. Pack them, as a ZIP for example, and drop that.'));
  });
  put(content,
    h('div', { class: 'card' }, field('Rule', rule, 'What is done with the files, and which limits hold.'), zone,
      h('details', {}, h('summary', {}, 'Passwords'), field('Passwords of archives and documents', passwords, 'One per line, at most 32. They are tried in this order.'))),
    problem,
    h('h2', { id: 'sent' }, 'Files of this tab'),
    list);
  draw();
}

function draw() {
  if (list) put(list, items.length ? items.map((item) => item.row) : h('li', { class: 'empty' }, 'No file was sent yet.'));
}

function add({ file, rule, largestBody, limit, passwords }) {
  const item = { file, rule, passwords, largestBody, state: 'waiting', id: null };
  item.bar = h('progress', { max: '100', value: '0', 'aria-label': `Progress of ${shown(file.name)}` });
  item.says = h('span', { class: 'says' }, 'Waiting');
  item.actions = h('span', { class: 'actions' });
  item.row = h('li', {}, h('div', { class: 'what' }, name(file.name), ' ', h('span', { class: 'muted' }, bytes(file.size))), item.says, item.bar, item.actions);
  items.unshift(item);
  if (file.size > limit) end(item, [`It has ${bytes(file.size)}, more than the ${bytes(limit)} that the rule “${rule}” takes.`], 'not sent');
  else if (file.size === 0) end(item, ['It is empty.'], 'not sent');
  draw();
}

function start() {
  while (running < AT_ONCE) {
    const item = [...items].reverse().find((one) => one.state === 'waiting');
    if (!item) return;
    item.state = 'running';
    running += 1;
    handle(item).finally(() => {
      running -= 1;
      start();
    });
  }
}

async function handle(item) {
  try {
    item.id = await send(item);
    put(item.actions, h('a', { href: `#/file/${item.id}` }, 'Result', h('span', { class: 'hidden' }, ` of ${shown(item.file.name)}`)));
    await watch(item);
  } catch (error) {
    if (error instanceof SessionEnded) {
      end(item, ['The session ended before the file was through.'], 'not finished');
      onEnded();
    } else end(item, [error instanceof Failure ? error.message : 'The console has a fault here.'], 'not sent');
    if (!(error instanceof Failure) && !(error instanceof SessionEnded)) console.error(error);
  }
}

function end(item, words, summary) {
  item.state = 'ended';
  item.bar.remove();
  put(item.says, words);
  announce(`${shown(item.file.name)}: ${summary}`);
}

/** Sends the bytes, through the API or, where they are too many for that, straight to the store. */
async function send(item) {
  const { file, rule, passwords } = item;
  const secrets = Object.fromEntries(passwords.slice(0, 32).map((password, at) => [`archivepwd${at + 1}`, password]));
  const headers = encoded({ filename: file.name, rule, ...secrets });
  headers.user_agent = 'webscan';
  put(item.says, 'Sending');
  if (!item.largestBody || file.size <= item.largestBody) {
    return (await transfer(item, url('file'), file, { ...headers, ...(session && { apikey: session.key }) })).data_id;
  }
  const form = await presigned(headers);
  const body = new FormData();
  for (const [key, value] of Object.entries(form.fields)) body.append(key, value);
  body.append(form.file_field, file, 'file');
  await transfer(item, form.url, body, {});
  return form.data_id;
}

async function presigned(headers) {
  const response = await fetch(url('file/presign'), { method: 'POST', headers: { ...headers, ...(session && { apikey: session.key }) }, credentials: 'omit' }).catch(() => {
    throw new Failure(0, 'The server can not be reached.');
  });
  const answer = await response.json();
  if (!response.ok) await refused(response.status, answer.err);
  return answer;
}

/** One POST with progress; the JSON of the answer, or `{}`. */
function transfer(item, target, body, headers) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', target);
    for (const [key, value] of Object.entries(headers)) request.setRequestHeader(key, value);
    request.upload.addEventListener('progress', (event) => {
      if (!event.lengthComputable) return;
      // The upload is the first half of the bar, the scan the second.
      item.bar.value = (event.loaded / event.total) * 50;
      put(item.says, `Sending, ${Math.floor((event.loaded / event.total) * 100)} %`);
    });
    request.addEventListener('error', () => reject(new Failure(0, 'The connection broke off.')));
    request.addEventListener('load', () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // The store answers XML, and nothing of it is needed.
      }
      if (request.status >= 200 && request.status < 300) resolve(answer);
      else refused(request.status, answer.err || `The file was refused (${request.status}).`).catch(reject);
    });
    request.send(body);
  });
}

async function watch(item) {
  for (let look = 0; ; look += 1) {
    const result = await get(`file/${item.id}`);
    const progress = result.process_info.progress_percentage;
    if (progress === 100) {
      const outcome = result.process_info.result;
      end(item, [badge(outcome, result.scan_results.scan_all_result_a)], `${outcome}, ${result.scan_results.scan_all_result_a}`);
      return;
    }
    item.bar.value = 50 + progress / 2;
    put(item.says, progress ? `Scanning, ${progress} %` : 'Waiting for a scanner');
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(look, PAUSES.length - 1)]));
  }
}
