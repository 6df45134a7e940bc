// Building pages. What always holds: text from outside becomes text nodes or attributes, never markup.

// Characters that are not what they look like: controls, and marks that turn the direction of text (a name
// `exe.<U+202E>gpj` would look like `exe.jpg`), and marks without a width.
const DECEPTIVE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Text from outside with its deceptive characters made visible. */
export function shown(text) {
  return String(text ?? '').replace(DECEPTIVE, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element: `h('p', { class: 'x', onclick: f }, 'text', node)`. Children are nodes or text. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/** A name from outside: isolated from the direction of the text around it. */
export function name(text) {
  return h('bdi', { class: 'name' }, shown(text));
}

/** Replaces what is in an element. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

let counter = 0;
/** An id that is used once. */
export function unique(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** Tells users of screen readers what has changed. */
export function announce(text) {
  document.getElementById('live').textContent = text;
}

/** A labelled control: `field('Name', h('input'), 'A hint.')`. */
export function field(label, control, hint) {
  const id = control.id || unique('field');
  control.id = id;
  const described = hint && unique('hint');
  if (described) control.setAttribute('aria-describedby', described);
  if (control.type === 'checkbox') {
    return h('div', { class: 'field check' }, h('div', {}, control, ' ', h('label', { for: id }, label)), hint && h('p', { class: 'hint', id: described }, hint));
  }
  return h('div', { class: 'field' }, h('label', { for: id }, label), hint && h('p', { class: 'hint', id: described }, hint), control);
}

/** A `<select>`: options are `[value, text]`. */
export function select(options, chosen, attributes) {
  return h('select', attributes, options.map(([value, text]) => h('option', { value, selected: value === chosen }, text)));
}

/** A message: `kind` is `error`, `warning`, `success` or `info`. */
export function note(kind, ...children) {
  const word = { error: 'Error', warning: 'Note', success: 'Done', info: 'Note' }[kind];
  return h('div', { class: `note ${kind}`, role: kind === 'error' ? 'alert' : null }, h('strong', { class: 'kind' }, `${word}: `), h('span', {}, children));
}

/** A table with a caption; each row is an array of cells, a cell text or nodes. The first cell of a row names it. */
export function table(caption, columns, rows, attributes) {
  const head = h('tr', {}, columns.map((column) => h('th', { scope: 'col' }, column)));
  const line = (cells) =>
    h('tr', {}, cells.map((cell, at) => (at === 0 ? h('th', { scope: 'row', 'data-label': columns[0] }, cell) : h('td', { 'data-label': columns[at] }, cell))));
  return h('div', { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: '0' },
    h('table', attributes, h('caption', { class: 'hidden' }, caption), h('thead', {}, head), h('tbody', {}, rows.map(line))));
}

/** A list of facts: `[term, nodes]`; those without a value are left out. */
export function facts(list) {
  const some = list.filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return h('dl', { class: 'facts' }, some.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
}

/** Asks before something that can not be taken back. */
export function confirm(question, action) {
  return new Promise((resolve) => {
    const title = unique('question');
    const dialog = h('dialog', { 'aria-labelledby': title });
    const close = (answer) => () => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    dialog.addEventListener('cancel', close(false));
    dialog.append(
      h('p', { id: title }, question),
      h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: close(false) }, 'Leave it'), h('button', { type: 'button', class: 'danger', onclick: close(true) }, action)),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Bytes for people. */
export function bytes(count) {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = Number(count) || 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return at === 0 ? `${value} ${value === 1 ? 'byte' : 'bytes'}` : `${value.toFixed(value < 10 ? 1 : 0)} ${units[at]}`;
}

/** Milliseconds for people. */
export function duration(ms) {
  if (!(ms >= 0)) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 90_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** A moment (ISO text or ms) in the user's own time zone; hovering shows UTC. */
export function moment(when) {
  const date = new Date(when);
  if (!when || Number.isNaN(date.getTime())) return '';
  const text = date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  return h('time', { datetime: date.toISOString(), title: date.toISOString() }, text);
}

/** Text that can be copied with a button. */
export function copyable(text, what) {
  const button = h('button', { type: 'button', class: 'small', 'aria-label': `Copy ${what}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
      announce(`${what} copied`);
    } catch {
      button.textContent = 'Select and copy';
    }
  });
  return h('span', { class: 'copyable' }, h('code', {}, shown(text)), ' ', button);
}
