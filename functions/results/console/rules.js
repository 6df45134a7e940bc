// Rules: what each one does, in words; and all of them as one document that can be changed.
import { Failure, call, get } from './api.js';
import { announce, bytes, confirm, facts, field, h, note, put, shown } from './dom.js';

const PATH = 'admin/config/rules';

export async function rules({ context, content }) {
  const inForce = await get(PATH);
  if (!context.isCurrent()) return;
  const place = h('div', {});
  put(content, place);
  draw(place, inForce, context);
}

function draw(place, inForce, context, said) {
  put(place,
    said,
    h('p', {}, inForce.version ? `Version ${inForce.version} is in force.` : 'Nobody changed the rules yet: these are the ones Portcullis comes with.'),
    inForce.rules.map(card),
    context.may('rule', 'write') ? editor(inForce, place, context) : note('info', 'To change rules needs the right ', h('code', {}, 'rule'), ' (write).'));
}

const list = (texts, otherwise) => (texts?.length ? shown(texts.join(', ')) : otherwise);

function card(rule) {
  const { extraction, types } = rule;
  return h('details', { class: 'card rule' }, h('summary', {}, h('strong', {}, shown(rule.name)), rule.description && h('span', { class: 'muted' }, ` ${shown(rule.description)}`)),
    facts([
      ['Largest file', bytes(rule.max_file_size)],
      ['Who may use it', rule.roles.length || rule.users.length ? list([...rule.roles.map((role) => `role ${role}`), ...rule.users.map((user) => `user ${user}`)]) : 'everybody who has a key'],
      ['Without a key', rule.anonymous ? 'permitted' : 'not permitted'],
      ['For clients', list(rule.user_agents, 'any')],
      ['For buckets', list(rule.buckets, 'none')],
      ['Engines', list(rule.engines, 'all')],
      ['Must succeed', list(rule.required_engines, 'all of them')],
      ['Archives', extraction.enabled
        ? `opened to ${extraction.max_depth} levels, ${extraction.max_entries} entries, ${bytes(extraction.max_total_bytes)}, ${extraction.max_ratio} times their size, ${extraction.timeout_seconds} s`
        : 'not opened'],
      ['Types let in', list(types.allow, 'all')],
      ['Types blocked', list(types.block, 'none')],
      ['Types not scanned', list(types.skip, 'none')],
      ['Matches of YARA rules', rule.yara_blocks ? 'block' : 'are listed only'],
      ['Reported, not blocked', list(rule.tolerate.map(String), 'nothing')],
      ['Time', `${rule.timeout_seconds} s`],
      ['In parts', rule.multipart ? 'permitted' : 'not permitted'],
      ['Verdicts taken over for', rule.hash_cache_hours ? `${rule.hash_cache_hours} h` : 'never'],
    ]));
}

function editor(inForce, place, context, text) {
  const problem = h('div', {});
  const area = h('textarea', { class: 'wide', id: 'rules-text', spellcheck: 'false', wrap: 'off' });
  area.value = text ?? JSON.stringify(inForce.rules, null, 2);
  const save = async (version) => {
    const changed = parsed(area.value);
    try {
      const saved = await call('PUT', PATH, { json: { version, rules: changed } });
      announce(`The rules are in force as version ${saved.version}.`);
      draw(place, saved, context, note('success', `The rules are in force as version ${saved.version}.`));
      document.querySelector('h1').focus();
    } catch (error) {
      if (!(error instanceof Failure) || error.status !== 409) throw error;
      await conflict(version);
    }
  };
  const conflict = async (version) => {
    const now = await get(PATH);
    const theirs = h('textarea', { class: 'wide', id: 'rules-theirs', readonly: true, spellcheck: 'false', wrap: 'off' });
    theirs.value = JSON.stringify(now.rules, null, 2);
    put(problem,
      note('warning', `Somebody else changed the rules: version ${now.version} is in force, and what you edit began as version ${version}. Nothing was saved.`),
      field(`In force: version ${now.version}`, theirs),
      h('div', { class: 'buttons' },
        h('button', { type: 'button', onclick: () => draw(place, now, context) }, 'Drop my text'),
        h('button', { type: 'button', class: 'danger', onclick: () => context.run(problem, async () => {
          if (await confirm(`Put your text in force in place of version ${now.version}?`, 'Replace it')) await save(now.version);
        }, { name: 'rule', access: 'write' }) }, `Replace version ${now.version} with my text`)));
    problem.querySelector('textarea').focus();
  };
  return h('section', { 'aria-labelledby': 'edit' }, h('h2', { id: 'edit' }, 'Change'),
    h('form', { onsubmit: (event) => {
      event.preventDefault();
      put(problem);
      context.run(problem, () => save(inForce.version), { name: 'rule', access: 'write' });
    } },
    field('All rules, as JSON', area, 'They are replaced as a whole, all or none. New scans follow within seconds.'),
    h('div', { class: 'buttons' }, h('button', { class: 'primary' }, 'Put in force'))), problem);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Failure(400, `This is no JSON: ${error.message}.`);
  }
}
