// The shell: which view belongs to which fragment, navigation, focus, and the way back to sign-in.
// What always holds: a view that fails shows why; a page is never left empty.
import { Failure, SessionEnded, leave, may, remember, session } from './api.js';
import { account } from './account.js';
import { audit } from './audit.js';
import { announce, h, name, note, put } from './dom.js';
import { engines } from './engines.js';
import { file } from './file.js';
import { history } from './history.js';
import { rescan } from './rescan.js';
import { rules } from './rules.js';
import { settings } from './settings.js';
import { signIn } from './signin.js';
import { stats } from './stats.js';
import { upload } from './upload.js';
import { users } from './users.js';
import { yara } from './yara.js';

// Each view is a function (parameters, context) → title and nodes. `right`: who sees it in the navigation; without
// one, everybody.
const VIEWS = [
  { at: '', title: 'Scan files', view: upload, open: true },
  { at: 'history', title: 'History', view: history },
  { at: 'stats', title: 'Statistics', view: stats, right: 'scanlog' },
  { at: 'rules', title: 'Rules', view: rules, right: 'rule' },
  { at: 'yara', title: 'YARA', view: yara, right: 'engines' },
  { at: 'engines', title: 'Engines', view: engines },
  { at: 'rescan', title: 'Rescan', view: rescan, right: 'scan' },
  { at: 'users', title: 'Users', view: users, right: 'users' },
  { at: 'settings', title: 'Settings', view: settings },
  { at: 'audit', title: 'Audit log', view: audit, right: 'configlog' },
  { at: 'file/:id', title: 'Result', view: file, open: true },
  { at: 'account', title: 'Your account', view: account, aside: true },
];

// Links that Core's clients print.
const LINKS = [
  /^public\/process\/dataId\/([0-9a-fA-F]{32})$/,
  /^public\/filescan\/dataId\/([0-9a-fA-F]{32})$/,
  /^user\/dashboard\/processingHistory\/dataId\/([0-9a-fA-F]{32})$/,
  /^user\/scanResult\?type=dataId&value=([0-9a-fA-F]{32})$/,
];

const main = document.getElementById('main');
let shownNow = 0;
let stop = null;

/** The view of a fragment: `{ view, parameters, query }`. */
function route() {
  const fragment = location.hash.replace(/^#\/?/, '');
  for (const link of LINKS) {
    const match = link.exec(fragment);
    if (match) return { entry: VIEWS.find((one) => one.at === 'file/:id'), parameters: { id: match[1].toLowerCase() }, query: new URLSearchParams() };
  }
  const [path, query = ''] = fragment.split('?');
  const given = path.split('/').filter(Boolean);
  for (const entry of VIEWS) {
    const wanted = entry.at.split('/').filter(Boolean);
    if (wanted.length !== given.length || !wanted.every((part, at) => part.startsWith(':') || part === given[at])) continue;
    const parameters = Object.fromEntries(wanted.flatMap((part, at) => (part.startsWith(':') ? [[part.slice(1), given[at]]] : [])));
    return { entry, parameters, query: new URLSearchParams(query) };
  }
  return { entry: null, parameters: {}, query: new URLSearchParams() };
}

function navigation(current) {
  const links = VIEWS.filter((entry) => !entry.aside && !entry.at.includes(':') && session && (!entry.right || may(entry.right, 'read')));
  put(document.getElementById('nav'), h('ul', {}, links.map((entry) =>
    h('li', {}, h('a', { href: `#/${entry.at}`, 'aria-current': entry === current ? 'page' : null }, entry.title)))));
  const out = h('button', { type: 'button', class: 'small', id: 'sign-out', onclick: async () => {
    await leave();
    show('You are signed out.');
  } }, 'Sign out');
  put(document.getElementById('who'), session ? [h('a', { class: 'user', href: '#/account' }, name(session.me.username)), out] : null);
}

/** Shows the view of the fragment; `word` is said above a sign-in that comes instead. */
async function show(word) {
  shownNow += 1;
  const turn = shownNow;
  stop?.abort();
  stop = new AbortController();
  const context = { signal: stop.signal, isCurrent: () => turn === shownNow, again: () => show(), run, may };
  const { entry, parameters, query } = route();
  navigation(entry);
  const title = entry?.title ?? 'Not found';
  const heading = h('h1', { tabindex: '-1' }, title);
  const content = h('div', { class: 'view' });
  const fresh = () => {
    put(main, heading, content);
    document.title = `${heading.textContent} – Portcullis`;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  };
  context.title = (text) => {
    heading.textContent = text;
    document.title = `${text} – Portcullis`;
  };
  if (!session && !entry?.open) return signInInstead(word);
  if (!session && !parameters.id) return signInInstead(word);
  put(content, h('p', { class: 'waiting' }, 'Loading …'));
  fresh();
  try {
    if (!entry) throw new Failure(404, 'There is no such page.');
    const nodes = await entry.view({ parameters, query, context, content });
    if (context.isCurrent() && nodes) put(content, nodes);
  } catch (error) {
    if (context.isCurrent()) failed(error, content, entry);
  }
}

function signInInstead(word) {
  put(main, signIn(word, () => show()));
  document.title = 'Sign in – Portcullis';
  main.querySelector('h1').focus({ preventScroll: true });
  if (word) announce(word);
}

/** Runs an action of a view (a click); says in `place` what goes wrong. `right`: what it needs, `{ name, access }`. */
async function run(place, action, right) {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Failure) error.right ??= right;
    failed(error, place, null);
    return undefined;
  }
}

function failed(error, place, entry) {
  if (error instanceof SessionEnded) {
    remember(null);
    show('Your session has ended. Sign in again to go on.');
    return;
  }
  if (error instanceof Failure && error.status === 403 && !session) {
    signInInstead('Sign in to see this.');
    return;
  }
  put(place, explained(error, entry));
}

/** What went wrong, in words. */
export function explained(error, entry) {
  if (!(error instanceof Failure)) {
    console.error(error);
    return note('error', 'The console has a fault here: ', String(error?.message ?? error));
  }
  const right = error.right ?? (entry?.right && { name: entry.right, access: 'read' });
  const missing = right ? [' It needs the right ', h('code', {}, right.name), ` (${right.access}), which your roles do not give you. Ask an administrator for it.`] : ' Your roles do not permit it.';
  if (error.status === 405) return note('error', 'You may not do this.', missing);
  if (error.status === 403) return note('error', 'You may not see this.', right ? missing : ' It belongs to somebody else, or your roles do not permit it.');
  if (error.status === 501 || (error.status === 404 && entry && error.message === 'Not found')) return note('warning', 'This server does not offer this yet.');
  if (error.status === 404) return note('error', 'Nothing is here: ', error.message);
  if (error.status === 0) return note('error', error.message, ' Check the connection and try again.');
  return note('error', error.message);
}

document.getElementById('skip').addEventListener('click', () => main.focus());
addEventListener('hashchange', () => show());
show();
