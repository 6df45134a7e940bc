// Users and roles: lists, and a form for each.
import { call, get, session, tagged } from './api.js';
import { announce, confirm, field, h, moment, name, note, put, shown, table } from './dom.js';

const WRITE = { name: 'users', access: 'write' };
const RIGHTS = ['agents', 'cert', 'configlog', 'engines', 'external', 'license', 'quarantine', 'retention', 'rule', 'scan', 'scanlog', 'skip', 'update', 'updatelog', 'users', 'workflow', 'zone'];

export async function users({ context, content }) {
  await draw(content, context);
}

async function draw(place, context, said) {
  const [list, roles] = await Promise.all([get('admin/user'), get('admin/role')]);
  if (!context.isCurrent()) return;
  const mayWrite = context.may('users', 'write');
  const problem = h('div', {});
  const form = h('div', { id: 'form' });
  const titles = new Map(roles.flatMap((role) => [[String(role.id), role.display_name], [role.name, role.display_name]]));
  const done = async (text) => {
    announce(text);
    await draw(place, context, note('success', text));
    document.querySelector('h1').focus();
  };
  const open = (kind, one) => () => context.run(problem, async () => {
    put(form, kind === 'user' ? await userForm(one, roles, context, done) : await roleForm(one, context, done));
    form.querySelector('h2').focus();
    form.scrollIntoView({ block: 'nearest' });
  }, WRITE);
  const remove = (kind, one) => () => context.run(problem, async () => {
    if (!(await confirm(`Delete the ${kind} “${shown(one.name)}”?`, 'Delete'))) return;
    await call('DELETE', `admin/${kind}/${encodeURIComponent(one.id)}`);
    await done(`The ${kind} “${shown(one.name)}” is deleted.`);
  }, WRITE);
  const actions = (kind, one, isEditable) => h('div', { class: 'buttons tight' },
    isEditable && h('button', { type: 'button', class: 'small', 'aria-label': `Edit ${one.name}`, onclick: open(kind, one) }, 'Edit'),
    isEditable && (kind === 'role' || one.id !== session.me.id) && h('button', { type: 'button', class: 'small danger', 'aria-label': `Delete ${one.name}`, onclick: remove(kind, one) }, 'Delete'));
  const some = (columns) => (mayWrite ? [...columns, 'Action'] : columns);
  put(place, said, problem,
    h('h2', {}, 'Users'),
    table('Users', some(['Name', 'Shown as', 'E-mail', 'Roles']), list.map((user) => [
      [name(user.name), user.enabled === false && h('span', { class: 'state off' }, ' ○ may not sign in')], name(user.display_name), name(user.email || '–'), shown(user.roles.map((role) => titles.get(role) ?? role).join(', ')) || 'none',
      ...(mayWrite ? [actions('user', user, true)] : []),
    ])),
    mayWrite && h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'primary', onclick: open('user', null) }, 'New user')),
    h('h2', {}, 'Roles'),
    table('Roles', some(['Role', 'Rights']), roles.map((role) => [
      [name(role.display_name), ' ', h('span', { class: 'muted' }, shown(role.name))], rightsOf(role),
      ...(mayWrite ? [actions('role', role, role.editable !== false)] : []),
    ])),
    mayWrite && h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: open('role', null) }, 'New role')),
    !mayWrite && note('info', 'To change users and roles needs the right ', h('code', {}, 'users'), ' (write).'),
    form);
}

function rightsOf(role) {
  const given = RIGHTS.filter((right) => role.rights?.[right]?.length);
  if (given.length === RIGHTS.length && given.every((right) => role.rights[right].includes('write'))) return 'all';
  return given.map((right) => `${right}${role.rights[right].includes('write') ? ' (read and write)' : ''}`).join(', ') || 'none';
}

/** A form; `send` makes the change and tells what was done. */
function sheet(title, controls, button, context, send) {
  const problem = h('div', {});
  return h('form', { class: 'card', 'aria-label': title, onsubmit: (event) => {
    event.preventDefault();
    put(problem);
    context.run(problem, async () => {
      await send();
    }, WRITE);
  } }, h('h2', { tabindex: '-1' }, title), controls, h('div', { class: 'buttons' }, h('button', { class: 'primary' }, button), h('button', { type: 'button', onclick: (event) => event.target.closest('form').remove() }, 'Close')), problem);
}

/** The item as it is now with its revision: what is changed is changed on that one. */
async function now(kind, one) {
  const { answer, revision } = await tagged('GET', `admin/${kind}/${encodeURIComponent(one.id)}`);
  return { item: answer, revision };
}

async function userForm(one, roles, context, done) {
  const { item: user, revision } = one ? await now('user', one) : { item: { name: '', display_name: '', email: '', roles: [] }, revision: null };
  const input = (value, attributes) => h('input', { value, spellcheck: 'false', autocomplete: 'off', ...attributes });
  const login = input(user.name, { required: true, id: 'user-name' });
  const title = input(user.display_name);
  const mail = input(user.email, { type: 'email' });
  const password = input('', { type: 'password', autocomplete: 'new-password' });
  const key = input('', {});
  const enabled = h('input', { type: 'checkbox', checked: user.enabled ?? true });
  const boxes = roles.map((role) => [String(role.id), h('input', { type: 'checkbox', checked: user.roles.includes(String(role.id)) || user.roles.includes(role.name) }), role]);
  const make = h('button', { type: 'button', class: 'small', onclick: () => {
    key.value = [...crypto.getRandomValues(new Uint8Array(18))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  } }, 'Make one');
  return sheet(one ? `User ${shown(one.name)}` : 'New user', [
    field('Name', login, 'What the user signs in with.'),
    user.locked_until && unlock(user, context, done),
    field('Shown as', title), field('E-mail', mail),
    one && user.enabled !== undefined && field('May sign in', enabled),
    h('fieldset', {}, h('legend', {}, 'Roles'), boxes.map(([, box, role]) => field(shown(role.display_name), box))),
    field('Password', password, one ? `Empty: it stays as it is${user.has_password === false ? ' (there is none)' : ''}.` : 'Empty: the user can not sign in with a password.'),
    field('API key', key, `${one ? `Empty: it stays as it is${user.has_apikey === false ? ' (there is none)' : ''}.` : 'Empty: none.'} It is never shown again: copy it before you save.`), h('p', {}, make),
  ], one ? 'Save' : 'Create', context, async () => {
    const json = { name: login.value, display_name: title.value, email: mail.value, roles: boxes.filter(([, box]) => box.checked).map(([id]) => id) };
    if (password.value) json.password = password.value;
    if (key.value) json.apikey = key.value;
    if (one && user.enabled !== undefined) json.enabled = enabled.checked;
    if (one) await call('PUT', `admin/user/${encodeURIComponent(one.id)}`, { json, revision });
    else await call('POST', 'admin/user', { json });
    await done(`The user “${shown(login.value)}” is ${one ? 'saved' : 'created'}.`);
  });
}

/** Says that a user is locked out, and lets him in. */
function unlock(user, context, done) {
  const problem = h('div', {});
  return note('warning', 'Locked out after failed sign-ins until ', moment(user.locked_until), '. ', h('button', { type: 'button', class: 'small', onclick: () => context.run(problem, async () => {
    await call('POST', `admin/user/${encodeURIComponent(user.id)}/unlock`);
    await done(`The user “${shown(user.name)}” may sign in again.`);
  }, WRITE) }, 'Unlock'), problem);
}

async function roleForm(one, context, done) {
  const { item: role, revision } = one ? await now('role', one) : { item: { name: '', display_name: '', rights: {} }, revision: null };
  const login = h('input', { value: role.name, required: true, spellcheck: 'false', id: 'role-name' });
  const title = h('input', { value: role.display_name });
  const boxes = RIGHTS.map((right) => [right, ...['read', 'write'].map((access) => h('input', { type: 'checkbox', 'aria-label': `${right}: ${access}`, checked: role.rights?.[right]?.includes(access) }))]);
  return sheet(one ? `Role ${shown(one.name)}` : 'New role', [
    field('Name', login), field('Shown as', title),
    table('Rights', ['Right', 'Read', 'Write'], boxes.map(([right, read, write]) => [h('code', {}, right), read, write])),
  ], one ? 'Save' : 'Create', context, async () => {
    const rights = Object.fromEntries(boxes.map(([right, read, write]) => [right, [read.checked && 'read', write.checked && 'write'].filter(Boolean)]));
    const json = { name: login.value, display_name: title.value || login.value, rights };
    if (one) await call('PUT', `admin/role/${encodeURIComponent(one.id)}`, { json, revision });
    else await call('POST', 'admin/role', { json });
    await done(`The role “${shown(login.value)}” is ${one ? 'saved' : 'created'}.`);
  });
}
