// Why a file was let in or held back, in words. One entry per code of the verdict table (a test compares them).
import { h, name, shown } from './dom.js';

const AGAIN_WITH_PASSWORD = 'Send it again with its password (on the page “Scan files”, under “Passwords”), or send what is in it without one.';
const LIMITS = 'Send the parts you need as smaller files. If such files are expected, an administrator can raise this limit in the rule (page “Rules”, “extraction”).';
const FALSE_ALARM = 'If you are sure that it is a false alarm, give the SHA-256 below to your administrators: they can put it on the allow list.';

/** `why`: what the outcome means; `next`: what to do. */
export const CODES = {
  0: { why: 'Every engine of the rule looked at the whole content and found nothing.', next: ['The file may be used.'] },
  1: { why: 'An engine identified a threat.', next: ['Do not open the file. Delete your copy, and tell your security team where it came from.', FALSE_ALARM] },
  2: { why: 'An engine found signs of a threat, without being certain.', next: ['Do not open the file before somebody has looked at it. Ask its sender for another format (a PDF without scripts, a document without macros).', FALSE_ALARM] },
  3: { why: 'A required step failed, so nothing is known about the file. What is not known to be clean is not let in.', next: ['Send it again. If it fails again, the file may be damaged: open it where it came from, save it anew, and send that.', 'If every file fails, an engine is out of order: see the page “Engines”, or tell your administrators the id below.'] },
  7: { why: 'Its hash is on the allow list, or the rule lets in files of its type without a scan.', next: ['The file may be used. Engines did not decide on it.'] },
  8: { why: 'Its hash is on the block list, or the rule does not let in files of this type.', next: ['Send another type of file, or send it under a rule that takes this type. Lists and rules are kept by your administrators.'] },
  9: { why: 'Archives are nested deeper in it than the rule permits.', next: ['Unpack it once or twice and send what is inside.', LIMITS] },
  10: { why: 'No engine looked at the content. What is not known to be clean is not let in.', next: ['Send it again. If it happens again, engines are missing or disabled: see the page “Engines”.'] },
  12: { why: 'An archive needs a password, and none of those given fits. What can not be read can not be scanned.', next: [AGAIN_WITH_PASSWORD] },
  13: { why: 'More bytes come out of an archive than the rule permits. Archives made to exhaust a computer look like this.', next: [LIMITS] },
  14: { why: 'More entries come out of an archive than the rule permits.', next: [LIMITS] },
  15: { why: 'A document needs a password to be read. What can not be read can not be scanned.', next: ['Remove the password in the program that made it and send it again.', AGAIN_WITH_PASSWORD] },
  16: { why: 'Unpacking and scanning took longer than the rule permits.', next: ['Send it again when less is going on.', LIMITS] },
  17: { why: 'The content is of another type than the file name says.', next: ['If you made the file, give it the ending that fits its content and send it again. If you did not, do not open it: programs disguise themselves this way.'] },
  18: { why: 'It contains a component with a known vulnerability.', next: ['Get a newer version of it.'] },
  19: { why: 'The scan was cancelled before it ended. Nothing is known about the file.', next: ['Send it again if you need it.'] },
  20: { why: 'It contains sensitive data.', next: ['Remove the data and send it again.'] },
  21: { why: 'A YARA rule that your administrators set to block matched.', next: ['Do not open the file. The rule’s name below tells what it looks for.', FALSE_ALARM] },
  22: { why: 'An engine classed it as a potentially unwanted program: advertising, bundled installers, remote control.', next: ['Get the program from its maker, without additions.', FALSE_ALARM] },
  23: { why: 'This type of file can not be opened, so what is in it is not known; or the rule does not permit it.', next: ['Send what is in it in another format, a ZIP for example.'] },
  255: { why: 'The scan is running.', next: [] },
};

/** What an engine's own row says (`scan_result_i`). */
export const ENGINE_RESULTS = { 0: 'Nothing found', 1: 'Threat', 2: 'Suspicious', 3: 'Failed', 7: 'On the allow list', 8: 'On the block list', 10: 'Not scanned', 19: 'Cancelled', 21: 'Rule matched', 22: 'Unwanted program', 23: 'Format not supported', 255: 'Running' };

const FOUND = [1, 2, 8, 21, 22];

/** The sentence of `blocked_reasons` that is no name of an outcome: which limit, which step, which child. */
export function detail(result) {
  const { blocked_reasons: reasons = [], verdicts = [] } = result.process_info;
  const last = reasons.at(-1) ?? '';
  if (!last || verdicts.includes(last) || last === result.scan_results.scan_all_result_a) return '';
  return shown(last);
}

/** That sentence with its names marked: they stand between backticks. */
function sentence(text) {
  const ended = text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
  return ended.split('`').map((part, at) => (at % 2 ? h('bdi', { class: 'threat' }, part) : part));
}

/** The engines that decided: `[engine, row]`. */
export function findings(result) {
  return Object.entries(result.scan_results.scan_details).filter(([, row]) => FOUND.includes(row.scan_result_i));
}

const ending = (file) => (/\.[^./\\]{1,12}$/.exec(file) ?? [''])[0];

/** Sentences about this very file, as lists of text and nodes. */
export function reasons(result) {
  const code = result.scan_results.scan_all_result_i;
  const { display_name: file, file_type: type, file_type_description: kind } = result.file_info;
  const said = [];
  for (const [engine, row] of findings(result)) {
    said.push([h('strong', {}, shown(engine)), ` (${ENGINE_RESULTS[row.scan_result_i].toLowerCase()})`, row.threat_found && [': ', h('bdi', { class: 'threat' }, shown(row.threat_found))], '.']);
  }
  for (const [engine, row] of Object.entries(result.scan_results.scan_details)) {
    if (row.scan_result_i === 3) said.push([h('strong', {}, shown(engine)), ' failed', row.threat_found && `: ${shown(row.threat_found)}`, '.']);
  }
  const hits = Object.keys(result.yara?.hits ?? {});
  if (code === 21 || (hits.length && code !== 0)) {
    said.push([hits.length === 1 ? 'YARA rule: ' : 'YARA rules: ', hits.slice(0, 10).map((hit, at) => [at ? ', ' : '', h('code', {}, shown(hit))]), hits.length > 10 && ' …', '.']);
  }
  if (code === 17) {
    const end = ending(file);
    said.push([end ? ['The name ends in ', h('bdi', {}, shown(end))] : 'The name has no ending', `, the content is ${shown(kind)} (${shown(type)}).`]);
  }
  if (code === 23) said.push([`Its type is ${shown(kind)} (${shown(type)}).`]);
  const more = detail(result);
  const worst = worstChild(result);
  // That a child is infected is said with a link to it.
  if (more && !(worst && more.endsWith(`\`: ${worst.scan_all_result_a}`))) said.push(sentence(more));
  if (worst) said.push([`The worst of ${result.extracted_files.files_extracted_count} files in it is `, h('a', { href: `#/file/${worst.data_id}` }, name(worst.display_name)), `: ${shown(worst.scan_all_result_a)}.`]);
  return said;
}

function worstChild(result) {
  const listing = result.extracted_files;
  const child = listing?.files_in_archive.find((one) => one.data_id === listing.worst_data_id) ?? listing?.files_in_archive[0];
  return child?.process_info.result === 'Blocked' ? child : null;
}

/** Meaning and next steps of a code; for one that is not in the table, words that are true of any. */
export function meaning(code, isBlocked) {
  return CODES[code] ?? { why: isBlocked ? 'The file is held back.' : 'The file is let in.', next: ['Tell your administrators the id below.'] };
}
