// Sign in: name and password for a session, or a key.
import { Failure, enter, login } from './api.js';
import { field, h, note, put } from './dom.js';

/** The view; `done` is called once somebody is signed in. `word`: why one has to sign in (again). */
export function signIn(word, done) {
  const problem = h('div', {});
  const user = h('input', { name: 'user', id: 'user', autocomplete: 'username', required: true, spellcheck: 'false', autocapitalize: 'off' });
  const password = h('input', { name: 'password', id: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const key = h('input', { name: 'apikey', id: 'apikey', type: 'password', autocomplete: 'off', required: true, spellcheck: 'false' });

  const form = (label, controls, button, action) => h('form', { class: 'card', 'aria-label': label, onsubmit: async (event) => {
    event.preventDefault();
    const submit = event.target.querySelector('button');
    submit.disabled = true;
    put(problem);
    try {
      await action();
      done();
    } catch (error) {
      put(problem, note('error', said(error)));
      submit.disabled = false;
      event.target.querySelector('input').focus();
    }
  } }, h('h2', {}, label), controls, h('button', { class: 'primary' }, button));

  return h('div', { class: 'signin' },
    h('h1', { tabindex: '-1' }, 'Sign in'),
    word && note('info', word),
    problem,
    h('div', { class: 'columns' },
      form('With a password', [field('User', user), field('Password', password)], 'Sign in', () => login(user.value, password.value)),
      form('With an API key', [field('API key', key, 'It stays in this tab, and is forgotten when the tab is closed.')], 'Use this key', () => enter(key.value.trim(), 'apikey'))));
}

function said(error) {
  if (!(error instanceof Failure)) throw error;
  if (error.message === 'Failed to login') return 'The name or the password is wrong.';
  if (error.status === 403 || error.status === 400) return 'This key is not good: it is mistyped, was replaced, or its session has ended.';
  return error.message;
}
