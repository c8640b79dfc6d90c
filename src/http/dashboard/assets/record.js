// One record of the audit log in a dialog, with everything that bears on it. The address names it.

import { get, getExact, RequestError, url } from './api.js';
import { adviceNow } from './advice.js';
import { askAgain } from './again.js';
import { byId, el, empty, fault, fill, pair, source, verdictBadge } from './dom.js';
import { readEntities } from './entities_read.js';
import { callerName, eventSentence } from './event_words.js';
import { count, entityName, pretty, timeElement, words } from './format.js';
import { whyBlock } from './why.js';
import { fragment, route } from './router.js';
import { has, missingScope } from './session.js';
import { foreignLog, readVerified, verificationBlock } from './verification.js';

/** Records as the newest searches showed them, by id, to compare them with the log. */
const shownInLists = new Map();
const MAX_SHOWN = 5000;
/** So many facts of a question are listed, and so much of each; its JSON has all. */
const MAX_CLAIMS = 30;
const MAX_FACT = 200;

let opened = null;
let isFollowing = false;

/** Remembers an entry that a search showed. */
export function listed({ record }) {
  if (!record) return;
  if (shownInLists.size >= MAX_SHOWN) shownInLists.clear();
  shownInLists.set(record.id, record);
}

/** Closes the dialog; the address stays as it is. */
export function closeRecord() {
  opened = null;
  const dialog = byId('record');
  if (dialog.open) dialog.close();
}

/** Opens the record with this id, or at this index of the daemon's own log. */
export async function openRecord(name) {
  const dialog = byId('record');
  followClosing(dialog);
  if (opened === name && dialog.open) return;
  opened = name;
  present(dialog, head('Record'), el('p.quiet', { role: 'status' }, 'Reading and verifying the record …'));
  if (!dialog.open) dialog.showModal();
  if (!has('audit:read')) return present(dialog, head('Record'), empty(missingScope(['audit:read'], 'Records')));
  try {
    await show(dialog, name);
  } catch (error) {
    // A fault of the page itself is said, too, instead of a dialog that never ends to read.
    if (!(error instanceof RequestError)) console.error(error);
    if (opened !== name) return;
    const isMissing = error.status === 404;
    present(
      dialog,
      head('Record'),
      fault(error),
      isMissing ? empty('The record may be in the log of another node, or its id is not complete.') : null,
    );
  }
}

/** Fills the dialog. An element that had the focus is replaced, so the button to close it gets the focus. */
function present(dialog, ...content) {
  fill(dialog, ...content);
  dialog.scrollTop = 0;
  if (dialog.open) dialog.querySelector('button').focus();
}

/** Closing the dialog goes back to the address without a record, unless the page itself closed it. */
function followClosing(dialog) {
  if (isFollowing) return;
  isFollowing = true;
  dialog.addEventListener('close', () => {
    if (opened === null || dialog.open) return;
    const { part, query, record } = route();
    if (record !== null) location.hash = fragment(part, query);
  });
  // A click beside the dialog has the dialog itself as its target, as has one between two of its sections.
  dialog.addEventListener('click', (event) => {
    const { left, right } = dialog.getBoundingClientRect();
    const isBeside = event.clientX < left || event.clientX > right;
    if (event.target === dialog && isBeside) dialog.close();
  });
}

async function find(name) {
  if (/^[0-9]+$/.test(name)) {
    const [record, { origin }] = await Promise.all([getExact(`v1/audit/entries/${name}`), get('v1/audit')]);
    return { index: Number(name), origin, record, isOwn: true };
  }
  const [{ items }, { origin }] = await Promise.all([getExact('v1/audit/entries', { id: name }), get('v1/audit')]);
  if (items.length === 0) throw new RequestError(`There is no record with the id ${name}.`, 404);
  // Before the first checkpoint the daemon does not tell the name of its log.
  return { ...items[0], isOwn: origin === null || items[0].origin === origin };
}

async function show(dialog, name) {
  const found = await find(name);
  const { index, origin, isOwn } = found;
  // The search index may not have the record of another log.
  const id = found.record?.id ?? name;
  const verified = isOwn
    ? await readVerified(index, { id, origin, listed: shownInLists.get(id) })
    : { record: null, result: null };
  if (opened !== name) return;
  const record = verified.record ?? found.record;
  const again = () => {
    opened = null;
    openRecord(name);
  };
  const verification = verified.result ? verificationBlock(verified.result, origin, again) : foreignLog(origin);
  if (!record) return present(dialog, head('Record'), verification);
  const isDecision = record.kind === 'decision';
  present(
    dialog,
    head(
      isDecision ? title(record) : [record.caller, ' ', eventSentence(record)],
      isDecision ? record.decision : null,
    ),
    verification,
    el(
      'dl.facts',
      {},
      pair('Time', timeElement(record.ts)),
      pair(isDecision ? 'Asked by' : 'Caller', callerName(record.caller)),
      isDecision ? null : pair('Event', `${words(record.kind)}: ${words(record.event ?? 'record')}`),
      pair('Record', el('code', {}, record.id)),
      pair('Entry', origin ? `${count(index)} of ${origin}` : count(index)),
      pair('Request', record.request_id ? el('code', {}, record.request_id) : null),
      pair('Constitution', record.hash ? el('code', { title: record.digest }, record.hash) : null),
      isDecision ? pair('Verdict', record.cached ? 'from a cache' : 'made for this question') : null,
    ),
    isDecision ? decisionParts(record, index) : null,
    el('details', { open: !isDecision }, el('summary', {}, 'The whole record as JSON'), source(pretty(record), 'The record as JSON')),
    isOwn
      ? el(
          'p.links',
          {},
          el('a', { href: url(`v1/audit/entries/${index}`) }, 'The entry as it was logged'),
          ' · ',
          el('a', { href: url(`v1/audit/entries/${index}/proof`) }, 'its proof'),
          ' · check it elsewhere with ',
          el('code', {}, 'acgs audit check-proof'),
        )
      : null,
  );
}

function title(record) {
  return `${entityName(record.subject)} ${record.action?.name ?? '?'} ${entityName(record.resource)}`;
}

function head(text, decision = null) {
  const close = el('button.plain', { type: 'button', onclick: () => byId('record').close() }, 'Close');
  return el(
    'header.record-head',
    {},
    el('h2', { id: 'record-title' }, decision === null ? null : [verdictBadge(decision), ' '], text),
    close,
  );
}

function decisionParts(record, index) {
  return [
    whyBlock(record, { more: adviceNow }),
    el('section', {}, el('h3', {}, 'The question'), question(record)),
    el('section', {}, el('h3', {}, 'The entities that were read'), readEntities(record, index)),
    el('section', {}, el('h3', {}, 'Decide it again'), askAgain(record)),
  ];
}

/** The facts in a question, each with its name: `context.approver`. */
function claims({ subject, resource, context }) {
  const facts = Object.entries({
    'subject.properties': subject?.properties,
    'resource.properties': resource?.properties,
    context,
  }).flatMap(([place, members]) =>
    Object.entries(members ?? {}).map(([name, value]) => pair(el('code', {}, `${place}.${name}`), factText(value))),
  );
  return facts.slice(0, MAX_CLAIMS);
}

/** A value in one line. */
export function factText(value) {
  const uid = value?.__entity ?? value;
  const isUid = uid !== null && typeof uid === 'object' && typeof uid.type === 'string' && typeof uid.id === 'string';
  const text = isUid ? entityName(uid) : typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_FACT ? `${text.slice(0, MAX_FACT)} …` : text;
}

/** From whom the facts in a question are: whoever approved something is what the caller says. */
function statedBy({ caller }) {
  return caller === 'anonymous'
    ? 'The caller was not authenticated: the subject, and each fact here, is only what it claims.'
    : `Each fact here, such as who approved something, is what ${caller} claims.`;
}

/** The question, member by member; a digested record has names only. */
function question(record) {
  const members = ['subject', 'action', 'resource', 'context'].filter((member) => record[member]);
  const isBare = (member) => Object.keys(record[member]).every((name) => ['type', 'id', 'name'].includes(name));
  const more = members.filter((member) => !isBare(member));
  return [
    el(
      'dl.facts',
      {},
      pair('Subject', el('code', {}, entityName(record.subject))),
      pair('Action', el('code', {}, record.action?.name ?? '–')),
      pair('Resource', el('code', {}, entityName(record.resource))),
    ),
    el(record.caller === 'anonymous' ? 'p.claim' : 'p.quiet', {}, statedBy(record)),
    el('dl.facts.claims', {}, claims(record)),
    record.request
      ? el('p.quiet', {}, 'The settings record requests by their digest: the rest of the question was not kept.')
      : null,
    more.length > 0
      ? el(
          'details',
          {},
          el('summary', {}, 'The question as JSON'),
          source(pretty(Object.fromEntries(more.map((member) => [member, record[member]]))), 'The question as JSON'),
        )
      : null,
    record.omitted
      ? el(
          'p.quiet',
          {},
          `Members that no policy can read were left out: ${record.omitted.map(({ member }) => member).join(', ')}.`,
        )
      : null,
  ];
}
