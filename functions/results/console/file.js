// The result of one file: what was decided, why, what to do next, and everything behind it.
import { Failure, call, get } from './api.js';
import { announce, bytes, confirm, copyable, duration, facts, h, moment, name, note, put, shown, table } from './dom.js';
import { badge } from './verdicts.js';
import { ENGINE_RESULTS, meaning, reasons } from './words.js';

/** Children per page. */
const PAGE = 50;
const PAUSES = [200, 400, 700, 1000, 2000];

export async function file({ parameters, query, context, content }) {
  const { id } = parameters;
  const first = Math.max(0, Number.parseInt(query.get('first') ?? '0', 10) || 0);
  for (let look = 0; context.isCurrent(); look += 1) {
    const result = await get(`file/${encodeURIComponent(id)}?first=${first}&size=${PAGE}`);
    if (!context.isCurrent()) return;
    if (!result.process_info) throw new Failure(404, `no result has the id ${id}. Results are deleted when their time is over.`);
    const ended = result.process_info.progress_percentage === 100;
    if (look === 0 || ended) {
      context.title(shown(result.file_info.display_name) || 'Result');
      const hadFocus = content.contains(document.activeElement);
      put(content, page(result, first, context));
      if (hadFocus) document.querySelector('h1').focus({ preventScroll: true });
      if (ended && look > 0) announce(`${result.process_info.result}: ${result.scan_results.scan_all_result_a}`);
    } else {
      content.querySelector('progress').value = result.process_info.progress_percentage;
    }
    if (ended) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(look, PAUSES.length - 1)]));
  }
}

function page(result, first, context) {
  return [
    result.parent_data_id && h('p', { class: 'back' }, h('a', { href: `#/file/${result.parent_data_id}` }, '↑ The file this came out of')),
    verdict(result, context),
    children(result, first),
    engines(result),
    hits(result),
    about(result),
    h('details', {}, h('summary', {}, 'As JSON'), h('pre', { tabindex: '0' }, shown(JSON.stringify(result, null, 1)).replaceAll('⟨U+000A⟩', '\n'))),
  ];
}

function verdict(result, context) {
  const { scan_results: scan, process_info: process } = result;
  const { why, next } = meaning(scan.scan_all_result_i, process.result === 'Blocked');
  const ended = process.progress_percentage === 100;
  const kind = process.result.toLowerCase();
  if (!ended) {
    const problem = h('div', {});
    return h('section', { class: `verdict ${kind}`, 'aria-labelledby': 'verdict' },
      h('h2', { id: 'verdict' }, badge('Processing')),
      h('p', {}, why),
      h('progress', { max: '100', value: process.progress_percentage, 'aria-label': 'Progress of the scan' }),
      h('p', {}, h('button', { type: 'button', id: 'cancel', onclick: () => context.run(problem, async () => {
        if (!(await confirm('Cancel the scan? The file will be blocked as “Canceled”.', 'Cancel the scan'))) return;
        await call('POST', `file/${result.data_id}/cancel`);
      }) }, 'Cancel the scan')), problem);
  }
  const said = reasons(result);
  const tolerated = process.result === 'Allowed' ? process.verdicts.filter((one) => one !== scan.scan_all_result_a) : [];
  return h('section', { class: `verdict ${kind}`, 'aria-labelledby': 'verdict' },
    h('h2', { id: 'verdict' }, badge(process.result, scan.scan_all_result_a)),
    h('h3', {}, 'Why'),
    h('p', {}, why),
    said.length > 0 && h('ul', { class: 'why' }, said.map((sentence) => h('li', {}, sentence))),
    also(process, scan),
    tolerated.length > 0 && h('p', {}, `Found as well, and tolerated by the rule: ${shown(tolerated.join(', '))}.`),
    next.length > 0 && [h('h3', {}, 'What to do next'), h('ul', { class: 'next' }, next.map((step) => h('li', {}, step)))],
    outdated(process));
}

/** Other findings than the one that decided. */
function also(process, scan) {
  const others = process.result === 'Blocked' ? process.verdicts.filter((one) => one !== scan.scan_all_result_a) : [];
  return others.length > 0 && h('p', {}, `Found as well: ${shown(others.join(', '))}.`);
}

const OUTDATED = { enginedefinitions: 'engines have newer definitions', configuration: 'the rule was changed', sanitization: 'the sanitised file is gone' };

function outdated(process) {
  const what = (process.outdated_data ?? []).map((one) => OUTDATED[one] ?? shown(one));
  return what.length > 0 && note('warning', `Since this scan ${what.join(' and ')}. Send the file again for a result of today, or have it judged again on the page “Rescan”.`);
}

function children(result, first) {
  const listing = result.extracted_files;
  if (!listing) return null;
  const { files_in_archive: files, files_extracted_count: count } = listing;
  const rows = files.map((child) => [
    h('a', { href: `#/file/${child.data_id}` }, name(child.display_name)),
    badge(child.process_info.result, child.scan_all_result_a),
    shown(child.file_type_description),
    h('span', { class: 'size' }, bytes(child.file_size)),
  ]);
  const to = (at, text) => h('a', { href: `#/file/${result.data_id}?first=${at}` }, text);
  return h('section', { 'aria-labelledby': 'children' },
    h('h2', { id: 'children' }, `Files in it (${count})`),
    rows.length === 0 && h('p', { class: 'empty' }, 'Nothing came out of it.'),
    rows.length > 0 && table('Files in it, worst first', ['Name', 'Verdict', 'Type', 'Size'], rows),
    count > PAGE && h('nav', { class: 'pages', 'aria-label': 'Pages of the list' },
      first > 0 && to(Math.max(0, first - PAGE), '← Before'),
      ` ${Math.min(first + 1, count)}–${Math.min(first + files.length, count)} of ${count} `,
      first + PAGE < count && to(first + PAGE, 'Next →')));
}

function engines(result) {
  const rows = Object.entries(result.scan_results.scan_details).map(([engine, row]) => [
    shown(engine),
    ENGINE_RESULTS[row.scan_result_i] ?? `Code ${row.scan_result_i}`,
    row.threat_found ? h('bdi', { class: 'threat' }, shown(row.threat_found)) : '–',
    duration(row.scan_time),
    moment(row.def_time) || '–',
  ]);
  if (!rows.length) return null;
  return h('section', { 'aria-labelledby': 'engines' }, h('h2', { id: 'engines' }, 'Engines'),
    table('What each engine says', ['Engine', 'Result', 'Threat or error', 'Time', 'Definitions of'], rows));
}

function hits(result) {
  const found = Object.entries(result.yara?.hits ?? {});
  return found.length > 0 && h('section', { 'aria-labelledby': 'yara' }, h('h2', { id: 'yara' }, 'YARA rules that matched'),
    table('YARA rules that matched', ['Rule', 'Description'], found.map(([rule, hit]) => [h('code', {}, shown(rule)), shown(hit.description)])));
}

function about(result) {
  const { file_info: info, process_info: process, scan_results: scan } = result;
  const ended = process.progress_percentage === 100;
  const times = process.processing_time_details ?? {};
  const hash = (key, title) => [title, info[key] && copyable(info[key], title)];
  return h('section', { 'aria-labelledby': 'about' }, h('h2', { id: 'about' }, 'The file'),
    facts([
      ['Name', name(info.display_name)],
      ['Size', bytes(info.file_size)],
      ['Type', ended && `${shown(info.file_type_description)} (${shown(info.file_type)})`],
      ['Id', copyable(result.data_id, 'the id')],
      hash('sha256', 'SHA-256'), hash('sha1', 'SHA-1'), hash('md5', 'MD5'), hash('sha512', 'SHA-512'),
      ['Received', moment(info.upload_timestamp)],
      ['From', name(process.username || 'nobody who was signed in')],
      ['Rule', shown(process.profile)],
      ['Client', shown(process.user_agent)],
      ['Waited', duration(process.queue_time)],
      ['Analysed in', ended && duration(process.processing_time)],
      ['of that', ended && `unpacking ${duration(times.extraction_time ?? 0)}, type ${duration(times.filetype_time ?? 0)}, engines ${duration(times.av_scan_time ?? 0)}, hashes ${duration(times.others_time ?? 0)}`],
      ['Engines that found something', ended && `${scan.total_detected_avs} of ${scan.total_avs}`],
      ['Downloaded from', result.download_info && shown(result.download_info.url)],
      ['Metadata', result.metadata !== undefined && h('code', {}, shown(JSON.stringify(result.metadata)))],
    ].map(([term, value]) => [term, value || ''])));
}
