// The changes of the last days, each with its caller: the events of the audit log other than decisions.

import { getExact } from './api.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { dateTime, duration, entityName, words } from './format.js';
import { listed } from './record.js';
import { withRecord } from './router.js';
import { SPANS } from './spans.js';

const LIMIT = 100;
const MAX_PAGES = 10;
/** So many changes of a kind are looked for. */
const ENOUGH = 20;
const DAY_S = 86_400;

/** Kinds of events as groups of what people look for. `auth` has both grants and logins; logins are left out. */
const GROUPS = [
  { kind: 'compliance', title: 'Decisions that did not comply' },
  { kind: 'constitution', title: 'Constitution' },
  { kind: 'entity', title: 'Entities' },
  { kind: 'auth', title: 'Users, clients and keys' },
  { kind: 'settings', title: 'Settings' },
  { kind: 'start', title: 'Starts' },
  { kind: 'stop', title: 'Stops' },
  { kind: 'database', title: 'Database' },
  { kind: 'log', title: 'Audit log' },
  { kind: 'cache', title: 'Caches' },
  { kind: 'clock', title: 'Clock' },
];

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

const ROUTINE_ONLY =
  'The newest 1,000 records of this kind are logins, grants and refusals, or nearly so; earlier ones were not searched.';

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
      groups.push({ ...group, ...(await newestChanges(group.kind, from)) });
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
 * The newest changes of a kind: `{items, isMore, isCut}`, or `{items, error}`. `isMore`: there may be earlier ones;
 * `isCut`: not all records were looked at, so that some may be missing.
 */
export async function newestChanges(kind, from) {
  const items = [];
  let cursor = null;
  try {
    for (let page = 0; page < MAX_PAGES && items.length < ENOUGH; page += 1) {
      const answer = await getExact('v1/audit/entries', { kind, from, limit: LIMIT, cursor });
      items.push(...answer.items.filter(({ record }) => record && !ROUTINE.has(record.event)));
      cursor = answer.next_cursor;
      if (cursor === null) break;
    }
  } catch (error) {
    return { items, error };
  }
  return { items, isMore: cursor !== null, isCut: cursor !== null && items.length < ENOUGH };
}

function shownGroup({ kind, title, items, isMore, isCut, error }) {
  if (error) return el('section.panel', {}, el('h4', {}, title), fault(error));
  const shown = items.map(({ record, ...rest }) => {
    listed({ ...rest, record });
    const link = el('a', { href: withRecord(record.id) }, dateTime(record.ts));
    return el('li', {}, link, ' ', el('strong', {}, record.caller), ' ', sentence(record));
  });
  const long = items.length > 8;
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
          el('summary', {}, `${items.length - 8} earlier ones`),
          el('ul.change-list', {}, shown.slice(8)),
        )
      : null,
    isCut ? el('p.quiet', {}, kind === 'auth' ? ROUTINE_ONLY : 'The search has not come to the end.') : null,
  );
}

const VERBS = {
  written: 'wrote',
  deleted: 'deleted',
  activated: 'put into force',
  reloaded: 'put into force',
  refused: 'was refused',
  cleared: 'emptied',
};

/** The event in words, with what it was about. */
function sentence(record) {
  const { kind, event } = record;
  const subject = subjectOf(record);
  if (kind === 'start') return `started the daemon ${record.version ?? ''}`.trim();
  if (kind === 'stop') return 'stopped the daemon';
  if (kind === 'settings') return event === 'log_level' ? logLevel(record) : 'put settings into force';
  if (kind === 'compliance' && record.decision_id) return disagreement(record);
  // `user_added` → `added the user`
  const parts = /^(.*)_(added|removed|changed|revoked|rotated|made)$/.exec(event ?? '');
  const what = parts ? `${parts[2]} the ${words(parts[1])}` : (VERBS[event] ?? words(event ?? kind));
  return subject ? `${what} ${subject}` : what;
}

function logLevel({ level, for_s: seconds }) {
  return `changed the log level to ${level}${seconds ? ` for ${duration(seconds)}` : ''}`;
}

function disagreement({ decision_id: id, answered, evaluated }) {
  const verdict = ({ decision, reason } = {}) => `${decision ? 'permit' : 'deny'} (${words(reason)})`;
  const text = `answered ${verdict(answered)}, but a fresh evaluation gave ${verdict(evaluated)}, for `;
  return [text, el('a', { href: withRecord(id) }, 'this decision')];
}

function subjectOf(record) {
  const { resource, hash, old_hash: old } = record;
  if (resource && typeof resource === 'object') return entityName(resource);
  if (hash) return old && old !== hash ? `${old} → ${hash}` : hash;
  const named = ['user', 'client', 'name', 'key', 'purpose', 'tiers', 'why', 'reason'].find(
    (member) => record[member] !== undefined,
  );
  if (!named) return '';
  const value = record[named];
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
