// How an outcome looks: a sign, a word and a colour, so that none of them is needed alone.
import { h, shown } from './dom.js';

const SIGNS = { Allowed: '✓', Blocked: '✕', Processing: '…' };

/** `Blocked: Infected` with its sign. */
export function badge(result, text) {
  const kind = SIGNS[result] ? result : 'Processing';
  return h('span', { class: `badge ${kind.toLowerCase()}` }, h('span', { 'aria-hidden': 'true' }, `${SIGNS[kind]} `), result === 'Processing' ? 'In progress' : `${shown(result)}: ${shown(text)}`);
}
