// The API. What always holds: paths are relative to where this file came from (any prefix or stage in front of the
// API is kept), and the key is sent in a header only and kept in this tab's session storage only.

const BASE = new URL('../', import.meta.url);
const KEPT = 'portcullis-session';

/** An answer that is none. `status` 0: no answer at all. */
export class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Thrown when the key is no longer good. */
export class SessionEnded extends Error {}

/** Who is signed in: `{ key, kind: 'session' | 'apikey', me }`, or null. */
export let session = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');

export function remember(next) {
  session = next;
  if (next) sessionStorage.setItem(KEPT, JSON.stringify(next));
  else sessionStorage.removeItem(KEPT);
}

/** Whether the user has a right, e.g. `may('rule', 'write')`. */
export function may(right, access) {
  return session?.me?.rights?.[right]?.includes(access) ?? false;
}

export function url(path) {
  return new URL(path.replace(/^\//, ''), BASE);
}

/** Header values are ASCII; the server decodes them once. */
export function encoded(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value).map(([key, value]) => [key, encodeURIComponent(value)]));
}

async function raw(method, path, { body, headers, key } = {}) {
  const own = key ?? session?.key;
  try {
    return await fetch(url(path), { method, body, headers: { ...(own && { apikey: own }), ...headers }, cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer' });
  } catch {
    throw new Failure(0, 'The server can not be reached.');
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { err: `The server answered ${response.status} without JSON.` };
  }
}

/** Whether an answer may mean that the key is no longer good: the server tells it apart only in some places. */
function doubtful(status, text) {
  return session && (status === 403 || status === 401 || (status === 400 && text === 'Access denied'));
}

async function isKeyGood() {
  const response = await raw('GET', 'version');
  return response.status !== 403 && response.status !== 401;
}

/** What to do with an answer that is no 2xx; `text` is its `err`. */
export async function refused(status, text) {
  if (doubtful(status, text) && !(await isKeyGood())) throw new SessionEnded();
  throw new Failure(status, text || `The server answered ${status}.`);
}

/** Calls the API: the answer's JSON and its revision (`ETag`), or a Failure. With a `revision`, a change is made to that one only. */
export async function tagged(method, path, { json, headers, revision } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const response = await raw(method, path, { body, headers: { ...headers, ...(revision && { 'If-Match': revision }) } });
  const answer = await read(response);
  if (!response.ok) await refused(response.status, answer.err);
  return { answer, revision: response.headers.get('etag') };
}

/** Calls the API; the answer's JSON, or a Failure. */
export async function call(method, path, options) {
  return (await tagged(method, path, options)).answer;
}

export const get = (path) => call('GET', path);

/** Signs in with name and password. */
export async function login(user, password) {
  const response = await raw('POST', 'login', { body: JSON.stringify({ user, password }), key: '' });
  const answer = await read(response);
  if (!response.ok) throw new Failure(response.status, answer.err);
  await enter(answer.session_id, 'session');
}

/** Signs in with a key; refused when it is not good. */
export async function enter(key, kind) {
  const response = await raw('GET', 'user/me', { key });
  const me = await read(response);
  if (!response.ok) throw new Failure(response.status, me.err);
  remember({ key, kind, me });
}

/** Ends the session on the server too, if it is one. */
export async function leave() {
  const { kind } = session ?? {};
  try {
    if (kind === 'session') await raw('POST', 'logout');
  } finally {
    remember(null);
  }
}
