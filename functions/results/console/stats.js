// Statistics: charts in SVG, each with the same numbers as a table.
import { get } from './api.js';
import { bytes, duration, facts, field, h, put, select, shown, svg, table, unique } from './dom.js';

const HOUR = 3_600_000;
const RANGES = [['24', 'The last 24 hours'], ['168', 'The last 7 days'], ['720', 'The last 30 days']];

export async function stats({ query, context, content }) {
  const hours = RANGES.some(([value]) => value === query.get('hours')) ? query.get('hours') : '24';
  const from = new Date(Date.now() - Number(hours) * HOUR).toISOString();
  const summary = await get(`stat/summary?from=${encodeURIComponent(from)}`);
  if (!context.isCurrent()) return;
  const range = select(RANGES, hours, { id: 'range', onchange: (event) => {
    location.hash = `#/stats?hours=${event.target.value}`;
  } });
  const steps = series(summary, Number(hours));
  put(content,
    h('div', { class: 'card' }, field('Time', range), facts([
      ['Files', `${summary.files}`],
      ['Allowed', `${summary.allowed}`],
      ['Blocked', `${summary.blocked}${summary.files ? ` (${((summary.blocked / summary.files) * 100).toFixed(1)} %)` : ''}`],
      ['Files that came out of them', `${summary.children}`],
      ['Bytes', bytes(summary.bytes)],
      ['From submission to verdict', summary.files && quantiles(summary.latency_ms)],
      ['Scan alone', summary.files && quantiles(summary.scan_ms)],
      ['Estimated cost on AWS', summary.cost && `${summary.cost.total.toFixed(4)} ${summary.cost.currency}`],
    ].map(([term, value]) => [term, value || '']))),
    chart('Files over time', files(steps), table('Files over time', ['Time', 'Allowed', 'Blocked'], steps.map((step) => [step.title, `${step.allowed}`, `${step.blocked}`])), legend()),
    summary.verdicts.length > 0 && chart('Verdicts', verdicts(summary.verdicts), table('Verdicts', ['Verdict', 'Result', 'Files'], summary.verdicts.map((one) => [shown(one.text), shown(one.result), `${one.files}`]))),
    chart('Time from submission to verdict', latency(steps), table('Time from submission to verdict', ['Time', 'Half within', '95 % within'], steps.map((step) => [step.title, step.files ? duration(step.p50) : '–', step.files ? duration(step.p95) : '–']))));
}

function quantiles({ p50, p95, p99 }) {
  return `half within ${duration(p50)}, 95 % within ${duration(p95)}, 99 % within ${duration(p99)}`;
}

/** Steps without a gap: hours, or days where there are many. Times of a day are those of its slowest hour. */
function series(summary, hours) {
  const width = hours > 48 ? 24 * HOUR : HOUR;
  const start = Math.floor(new Date(summary.from).getTime() / width) * width;
  const steps = [];
  for (let at = start; at < new Date(summary.to).getTime(); at += width) {
    const date = new Date(at);
    const title = width === HOUR ? date.toLocaleString(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }) : date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
    const short = width === HOUR ? date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' }) : title;
    steps.push({ at, title, short, files: 0, allowed: 0, blocked: 0, p50: 0, p95: 0 });
  }
  for (const hour of summary.hours) {
    const step = steps[Math.floor((new Date(hour.start).getTime() - start) / width)];
    if (!step) continue;
    step.files += hour.files;
    step.allowed += hour.allowed;
    step.blocked += hour.blocked;
    step.p50 = Math.max(step.p50, hour.latency_ms.p50);
    step.p95 = Math.max(step.p95, hour.latency_ms.p95);
  }
  return steps;
}

function chart(title, drawing, numbers, ...more) {
  const id = unique('chart');
  drawing.setAttribute('role', 'img');
  drawing.setAttribute('aria-label', `${title}, as a chart; the numbers are in the table below`);
  return h('section', { 'aria-labelledby': id }, h('h2', { id }, title), h('div', { class: 'chart', role: 'group', 'aria-label': title, tabindex: '0' }, drawing, more), h('details', {}, h('summary', {}, 'As a table'), numbers));
}

const W = 640;
const H = 220;
const LEFT = 56;
const BOTTOM = 28;
const TOP = 10;

/** The next round number above, so that the axis ends at one. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? 1;
}

function frame(steps, top, label) {
  const height = H - TOP - BOTTOM;
  const y = (value) => TOP + height - (value / top) * height;
  const slot = (W - LEFT) / steps.length;
  const lines = [0, 0.5, 1].map((share) => [
    svg('line', { class: 'grid', x1: LEFT, x2: W, y1: y(top * share), y2: y(top * share) }),
    svg('text', { class: 'axis', x: LEFT - 6, y: y(top * share) + 4, 'text-anchor': 'end' }, label(top * share)),
  ]);
  const every = Math.ceil(steps.length / 6);
  const names = steps.map((step, at) => at % every === 0 && svg('text', { class: 'axis', x: LEFT + slot * at, y: H - 8 }, step.short));
  return { y, slot, nodes: [lines, names] };
}

function files(steps) {
  const top = Math.max(2, ceiling(Math.max(...steps.map((step) => step.files))));
  const { y, slot, nodes } = frame(steps, top, (value) => String(Math.round(value)));
  const hatch = unique('hatch');
  const bar = (kind, fill, at, from, to) => from !== to && svg('rect', { class: kind, fill, x: LEFT + slot * at + slot * 0.12, width: slot * 0.76, y: y(to), height: y(from) - y(to) });
  const bars = steps.flatMap((step, at) => [bar('allowed', null, at, 0, step.allowed), bar('blocked', `url(#${hatch})`, at, step.allowed, step.files)]);
  return svg('svg', { viewBox: `0 0 ${W} ${H}` }, svg('defs', {}, pattern(hatch)), nodes, bars);
}

/** What is blocked is hatched: the colour is not needed. */
function pattern(id) {
  return svg('pattern', { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    svg('rect', { class: 'hatch-page', width: 6, height: 6 }), svg('rect', { class: 'hatch', width: 3, height: 6 }));
}

function legend() {
  const hatch = unique('hatch');
  const key = (node, text) => h('span', { class: 'key' }, svg('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' }, node), ` ${text}`);
  return h('p', { class: 'legend' },
    key(svg('rect', { class: 'allowed', width: 16, height: 16 }), 'Allowed'), ' ',
    key([svg('defs', {}, pattern(hatch)), svg('rect', { class: 'blocked', fill: `url(#${hatch})`, width: 16, height: 16 })], 'Blocked (hatched)'));
}

function verdicts(list) {
  const most = Math.max(...list.map((one) => one.files));
  const line = 26;
  const hatch = unique('hatch');
  const sorted = [...list].sort((one, other) => other.files - one.files);
  return svg('svg', { viewBox: `0 0 ${W} ${sorted.length * line + 6}` }, svg('defs', {}, pattern(hatch)), sorted.map((one, at) => {
    const width = Math.max(2, (one.files / most) * (W - 290));
    const isBlocked = one.result === 'Blocked';
    return [
      svg('text', { class: 'axis', x: 222, y: at * line + 18, 'text-anchor': 'end' }, shown(one.text)),
      svg('rect', { class: isBlocked ? 'blocked' : 'allowed', fill: isBlocked ? `url(#${hatch})` : null, x: 230, y: at * line + 4, width, height: line - 8 }),
      svg('text', { class: 'axis', x: 236 + width, y: at * line + 18 }, String(one.files)),
    ];
  }).flat());
}

function latency(steps) {
  const top = ceiling(Math.max(10, ...steps.map((step) => step.p95)));
  const { y, slot, nodes } = frame(steps, top, duration);
  const marks = steps.flatMap((step, at) => {
    if (!step.files) return [];
    const x = LEFT + slot * (at + 0.5);
    return [
      svg('line', { class: 'whisker', x1: x, x2: x, y1: y(step.p50), y2: y(step.p95) }),
      svg('line', { class: 'whisker', x1: x - slot * 0.25, x2: x + slot * 0.25, y1: y(step.p95), y2: y(step.p95) }),
      svg('circle', { class: 'half', cx: x, cy: y(step.p50), r: Math.min(5, slot / 3) }),
    ];
  });
  return svg('svg', { viewBox: `0 0 ${W} ${H}` }, nodes, marks);
}
