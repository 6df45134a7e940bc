// Who is signed in, what he may do, and a new password.
import { call, session } from './api.js';
import { announce, facts, field, h, name, note, put, shown } from './dom.js';

export async function account({ context, content }) {
  const { me, kind } = session;
  const rights = Object.entries(me.rights).filter(([, given]) => given.length).map(([right, given]) => `${right} (${given.join(', ')})`);
  put(content,
    facts([['User', name(me.username)], ['Shown as', name(me.display_name)], ['Signed in with', kind === 'session' ? 'a password' : 'an API key'], ['Roles', shown(me.roles.join(', ')) || 'none'], ['Rights', shown(rights.join(', ')) || 'none: your own files only']]),
    kind === 'session' && password(context));
}

function password(context) {
  const problem = h('div', {});
  const input = (autocomplete) => h('input', { type: 'password', required: true, autocomplete });
  const [old, next, again] = [input('current-password'), input('new-password'), input('new-password')];
  return h('form', { class: 'card password', 'aria-label': 'New password', onsubmit: (event) => {
    event.preventDefault();
    if (next.value !== again.value) {
      put(problem, note('error', 'The new password is not the same both times.'));
      return;
    }
    put(problem);
    context.run(problem, async () => {
      await call('POST', 'user/changepassword', { json: { old_password: old.value, new_password: next.value } });
      event.target.reset();
      put(problem, note('success', 'The password is changed.'));
      announce('The password is changed.');
    });
  } }, h('h2', {}, 'New password'), field('Password', old), field('New password', next), field('The new password again', again), h('button', { class: 'primary' }, 'Change'), problem);
}
