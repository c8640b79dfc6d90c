// One record of the audit log in a dialog, with everything that bears on it. The address names it.

import { get, getExact, RequestError, url } from './api.js';
import { askAgain } from './again.js';
import { badge, byId, el, empty, fault, fill, pair, source } from './dom.js';
import { readEntities } from './entities_read.js';
import { count, entityName, pretty, timeElement, words } from './format.js';
import { whyBlock } from './why.js';
import { fragment, route } from './router.js';
import { has, missingScope } from './session.js';
import { foreignLog, readVerified, verificationBlock } from './verification.js';

/** Records as the newest searches showed them, by id, to compare them with the log. */
const shownInLists = new Map();
const MAX_SHOWN = 5000;

let opened = null;
let isFollowing = false;

/** Remembers an entry that a search showed. */
export function listed({ record }) {
  if (!record) return;
  if (shownInLists.size >= MAX_SHOWN) shownInLists.clear();
  shownInLists.set(record.id, record);
}

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
  fill(dialog, head('Record'), el('p.quiet', { role: 'status' }, 'Reading and verifying the record …'));
  if (!dialog.open) dialog.showModal();
  if (!has('audit:read')) return void fill(dialog, head('Record'), empty(missingScope(['audit:read'], 'Records')));
  try {
    await show(dialog, name);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (opened === name)
      fill(
        dialog,
        head('Record'),
        fault(error),
        empty('The record may be in the log of another node, or its id is not complete.'),
      );
  }
}

/** Closing the dialog goes back to the address without a record. */
function followClosing(dialog) {
  if (isFollowing) return;
  isFollowing = true;
  dialog.addEventListener('close', () => {
    const { part, query, record } = route();
    if (record !== null) location.hash = fragment(part, query);
  });
  // A click on the backdrop has the dialog itself as its target.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
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
  const verified = isOwn
    ? await readVerified(index, { id: found.record.id, origin, listed: shownInLists.get(found.record.id) })
    : { record: null, result: null };
  if (opened !== name) return;
  const record = verified.record ?? found.record;
  const again = () => {
    opened = null;
    openRecord(name);
  };
  const verification = verified.result ? verificationBlock(verified.result, origin, again) : foreignLog(origin);
  const isDecision = record.kind === 'decision';
  fill(
    dialog,
    head(
      isDecision ? title(record) : `${words(record.kind)}: ${words(record.event ?? 'record')}`,
      isDecision ? record.decision : null,
    ),
    verification,
    el(
      'dl.facts',
      {},
      pair('Time', timeElement(record.ts)),
      pair('Asked by', record.caller),
      pair('Record', el('code', {}, record.id)),
      pair('Entry', `${count(index)} of ${origin}`),
      pair('Request', record.request_id ? el('code', {}, record.request_id) : null),
      pair('Constitution', record.hash ? el('code', { title: record.digest }, record.hash) : null),
      isDecision ? pair('Verdict', record.cached ? 'from a cache' : 'made for this question') : null,
    ),
    isDecision ? decisionParts(record, index) : null,
    el('details', {}, el('summary', {}, 'The whole record as JSON'), source(pretty(record), 'The record as JSON')),
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
  dialog.scrollTop = 0;
  // The element that had the focus was replaced.
  if (!dialog.contains(document.activeElement) || document.activeElement === dialog)
    dialog.querySelector('button').focus();
}

function title(record) {
  return `${entityName(record.subject)} ${record.action?.name ?? '?'} ${entityName(record.resource)}`;
}

function head(text, decision = null) {
  const close = el('button.plain', { type: 'button', onclick: () => byId('record').close() }, 'Close');
  return el(
    'header.record-head',
    {},
    el(
      'h2',
      { id: 'record-title' },
      decision === null ? null : [decision ? badge('permit', 'permit') : badge('deny', 'deny'), ' '],
      text,
    ),
    close,
  );
}

function decisionParts(record, index) {
  return [
    whyBlock(record),
    el('section', {}, el('h3', {}, 'The question'), question(record)),
    el('section', {}, el('h3', {}, 'The entities that were read'), readEntities(record, index)),
    el('section', {}, el('h3', {}, 'Decide it again'), askAgain(record)),
  ];
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
    record.request
      ? el('p.quiet', {}, 'The settings record requests by their digest: the rest of the question was not kept.')
      : null,
    more.length > 0
      ? source(pretty(Object.fromEntries(more.map((member) => [member, record[member]]))), 'The question as JSON')
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
