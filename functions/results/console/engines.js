// Engines: what runs, with which definitions, and what can be switched.
import { Failure, call, get } from './api.js';
import { announce, confirm, h, moment, note, put, shown, table } from './dom.js';

const WRITE = { name: 'engines', access: 'write' };
const KINDS = { av: 'scanner', archive: 'archives', filetype: 'file types', util: 'helper' };

export async function engines({ context, content }) {
  await draw(content, context);
}

async function read() {
  try {
    return { list: await get('admin/engine'), isDecided: true };
  } catch (error) {
    // What runs may be seen with any key; what was decided about it only with the right.
    if (!(error instanceof Failure) || ![403, 404, 405, 501].includes(error.status)) throw error;
    return { list: await get('stat/engines'), isDecided: false };
  }
}

async function draw(place, context, said) {
  const { list, isDecided } = await read();
  if (!context.isCurrent()) return;
  const mayWrite = isDecided && context.may('engines', 'write');
  const problem = h('div', {});
  const act = (engine, verb, question) => () => context.run(problem, async () => {
    if (question && !(await confirm(question, 'Yes'))) return;
    const answer = await call('POST', `admin/engine/${encodeURIComponent(engine.eng_id)}/${verb}`);
    announce(`${engine.eng_name}: ${answer.result}`);
    await draw(place, context, note('success', `${shown(engine.eng_name)}: ${shown(answer.result)}. Scans follow within seconds.`));
  }, WRITE);
  const button = (engine, text, action) => h('button', { type: 'button', class: 'small', 'aria-label': `${text} ${engine.eng_name}`, onclick: action }, text);
  const actions = (engine) => {
    const isPinned = engine.engine_pinned || engine.database_pinned;
    return h('div', { class: 'buttons tight' },
      engine.engine_type === 'av' && (engine.enabled
        ? button(engine, 'Disable', act(engine, 'disable', `Disable ${engine.eng_name}? Files are then judged without it; rules that require it end their files as “Failed”.`))
        : button(engine, 'Enable', act(engine, 'enable'))),
      isPinned ? button(engine, 'Unpin', act(engine, 'unpin')) : button(engine, 'Pin', act(engine, 'pin')));
  };
  const columns = ['Engine', 'State', 'Version', 'Definitions of', ...(isDecided ? ['Pinned'] : []), ...(mayWrite ? ['Action'] : [])];
  const issues = list.flatMap((engine) => (engine.issues ?? []).map((issue) => [shown(engine.eng_name), shown(issue)]));
  put(place, said,
    table('Engines', columns, list.map((engine) => [
      [shown(engine.eng_name), ' ', h('span', { class: 'muted' }, KINDS[engine.engine_type] ?? shown(engine.engine_type))],
      state(engine),
      shown(engine.eng_ver),
      moment(engine.def_time) || '–',
      ...(isDecided ? [pinned(engine)] : []),
      ...(mayWrite ? [actions(engine)] : []),
    ])),
    issues.length > 0 && [h('h2', {}, 'Problems'), table('Problems of engines', ['Engine', 'Problem'], issues)],
    h('p', { class: 'hint' }, 'A pinned engine keeps its definitions as they are until it is unpinned.'),
    !isDecided && context.may('engines', 'write') && note('warning', 'This server does not let engines be switched yet.'),
    !context.may('engines', 'write') && note('info', 'To switch engines needs the right ', h('code', {}, 'engines'), ' (write).'),
    problem);
}

function state(engine) {
  if (engine.enabled === false) return h('span', { class: 'state off' }, '○ Disabled');
  return engine.active ? h('span', { class: 'state on' }, '● Active') : h('span', { class: 'state bad' }, '✕ Out of order');
}

function pinned(engine) {
  const parts = [engine.engine_pinned && 'engine', engine.database_pinned && 'definitions'].filter(Boolean);
  return parts.length ? [parts.join(' and '), engine.database_pinned_at && [' of ', moment(engine.database_pinned_at)]] : 'no';
}
