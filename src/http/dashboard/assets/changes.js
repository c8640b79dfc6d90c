// What happened in the last days, each with its caller: the events of the audit log other than decisions.

import { getExact } from './api.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { eventSentence } from './event_words.js';
import { count, dateTime } from './format.js';
import { listed } from './record.js';
import { withRecord } from './router.js';
import { SPANS } from './spans.js';

const LIMIT = 100;
const MAX_PAGES = 10;
/** So many changes of a kind are looked for. */
const ENOUGH = 20;
const DAY_S = 86_400;

/** Events that happen with each login or refused request are no changes. */
const ROUTINE = new Set([
  'granted',
  'login',
  'logout',
  'refreshed',
  'refresh_repeated',
  'login_refused',
  'credential_refused',
  'scope_refused',
  'refusal',
  'locked',
]);

const REFUSALS = new Set(['login_refused', 'credential_refused', 'scope_refused', 'refusal', 'locked']);

/** Whether an event of the kind `auth` changed something. */
export const isChange = ({ event }) => !ROUTINE.has(event);

/** Whether an event of the kind `auth` refused a caller. */
export const isRefusal = ({ event }) => REFUSALS.has(event);

/**
 * Kinds of events as groups of what people look for. `auth` has grants, logins and refusals: of each group only those
 * that it is about are shown.
 */
const GROUPS = [
  { kind: 'compliance', title: 'Decisions that did not comply' },
  { kind: 'constitution', title: 'Constitution' },
  { kind: 'entity', title: 'Entities' },
  { kind: 'auth', title: 'Users, clients and keys', isWanted: isChange },
  { kind: 'settings', title: 'Settings' },
  { kind: 'start', title: 'Starts' },
  { kind: 'stop', title: 'Stops' },
  { kind: 'database', title: 'Database' },
  { kind: 'log', title: 'Audit log' },
  { kind: 'cache', title: 'Caches' },
  { kind: 'clock', title: 'Clock' },
  { kind: 'alert', title: 'Alerts that fired or ended' },
  { kind: 'auth', title: 'Refused logins and credentials', isWanted: isRefusal },
];

const AUTH_CUT = 'Only the newest 1,000 logins, grants, refusals and changes of callers were looked at.';

/** A block with the changes of a span of time, by kind. */
export function changes() {
  const span = el(
    'select',
    { name: 'changed-within' },
    SPANS.filter(([value]) => Number(value) >= DAY_S).map(([value, label]) => el('option', { value }, label)),
  );
  const place = el('div.changes', {}, el('p.quiet', { role: 'status' }, 'Reading the changes …'));
  const refresh = el('button', { type: 'button' }, 'Refresh');
  let newest = 0;
  const load = async () => {
    newest += 1;
    const number = newest;
    const from = new Date(Date.now() - Number(span.value) * 1000).toISOString();
    const groups = [];
    // One after the other: few threads search the log.
    for (const group of GROUPS) {
      groups.push({ ...group, ...(await newestEvents(group, from)) });
      if (number !== newest || !place.isConnected) return;
    }
    const filled = groups.filter(({ items, error, isCut }) => error || isCut || items.length > 0);
    fill(place, filled.length > 0 ? filled.map(shownGroup) : empty('Nothing was changed in this time.'));
  };
  span.addEventListener('change', load);
  refresh.addEventListener('click', () => whileBusy(refresh, load));
  load();
  return el('div', {}, el('div.toolbar', {}, el('label', {}, 'Time ', span), refresh), place);
}

/**
 * The newest events of a group: `{items, isMore, isCut}`, or `{items, error}`. `isMore`: there may be earlier ones;
 * `isCut`: not all records were looked at, so that some may be missing.
 */
export async function newestEvents({ kind, isWanted = () => true }, from) {
  const items = [];
  let cursor = null;
  try {
    for (let page = 0; page < MAX_PAGES && items.length < ENOUGH; page += 1) {
      const answer = await getExact('v1/audit/entries', { kind, from, limit: LIMIT, cursor });
      items.push(...answer.items.filter(({ record }) => record && isWanted(record)));
      cursor = answer.next_cursor;
      if (cursor === null) break;
    }
  } catch (error) {
    return { items, error };
  }
  return { items, isMore: cursor !== null, isCut: cursor !== null && items.length < ENOUGH };
}

/** Events of which all is the same but the time become one, with the newest of them: `{item, sentence, times}`. */
export function merged(items) {
  const lines = new Map();
  for (const item of items) {
    const { id, caller } = item.record;
    const sentence = eventSentence(item.record);
    const key = typeof sentence === 'string' ? `${caller} ${sentence}` : id;
    const line = lines.get(key);
    if (line) line.times += 1;
    else lines.set(key, { item, sentence, times: 1 });
  }
  return [...lines.values()];
}

function shownGroup({ kind, title, items, isMore, isCut, error }) {
  if (error) return el('section.panel', {}, el('h4', {}, title), fault(error));
  const shown = merged(items).map(({ item, sentence, times }) => {
    const { record } = item;
    listed(item);
    const link = el('a', { href: withRecord(record.id) }, dateTime(record.ts));
    const often = times > 1 ? el('span.quiet', {}, ` (${count(times)} times; this is the last)`) : null;
    return el('li', {}, link, ' ', el('strong', {}, record.caller), ' ', sentence, often);
  });
  const long = shown.length > 8;
  const list = el('ul.change-list', {}, shown.slice(0, 8));
  return el(
    'section.panel',
    {},
    el('h4', {}, title, el('span.quiet', {}, ` ${items.length}${isMore ? ' or more' : ''}`)),
    items.length > 0 ? list : null,
    long
      ? el(
          'details',
          {},
          el('summary', {}, `${shown.length - 8} earlier ones`),
          el('ul.change-list', {}, shown.slice(8)),
        )
      : null,
    isCut ? el('p.quiet', {}, kind === 'auth' ? AUTH_CUT : 'The search has not come to the end.') : null,
  );
}
