// What was changed lately, and by whom: the events of the audit log other than decisions.

import { getExact } from './api.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { dateTime, entityName, words } from './format.js';
import { listed } from './record.js';
import { withRecord } from './router.js';

const LIMIT = 100;
const SPANS = [
  ['86400', 'Since yesterday'],
  ['604800', 'Last 7 days'],
  ['2592000', 'Last 30 days'],
];

/** Kinds of events as groups of what people look for. `auth` has both grants and logins; logins are left out. */
const GROUPS = [
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

/** Events that happen with each login are no changes. */
const ROUTINE = new Set([
  'granted',
  'login',
  'logout',
  'refreshed',
  'login_refused',
  'scope_refused',
  'refusal',
  'locked',
]);

/** A block with the changes of a span of time, by kind. */
export function changes() {
  const span = el(
    'select',
    {},
    SPANS.map(([value, label]) => el('option', { value }, label)),
  );
  const place = el('div.changes');
  const refresh = el('button', { type: 'button' }, 'Refresh');
  const load = async () => {
    const from = new Date(Date.now() - Number(span.value) * 1000).toISOString();
    const groups = await Promise.all(GROUPS.map((group) => read(group, from)));
    const filled = groups.filter(({ items, error }) => error || items.length > 0);
    fill(place, filled.length > 0 ? filled.map(shownGroup) : empty('Nothing was changed in this time.'));
  };
  span.addEventListener('change', load);
  refresh.addEventListener('click', () => whileBusy(refresh, load));
  load();
  return el('div', {}, el('div.toolbar', {}, el('label', {}, 'Time ', span), refresh), place);
}

async function read({ kind, title }, from) {
  try {
    const { items, next_cursor: more } = await getExact('v1/audit/entries', { kind, from, limit: LIMIT });
    const notable = items.filter(({ record }) => record && !ROUTINE.has(record.event));
    return { title, items: notable, more: more !== null };
  } catch (error) {
    return { title, items: [], error };
  }
}

function shownGroup({ title, items, more, error }) {
  if (error) return el('section.panel', {}, el('h4', {}, title), fault(error));
  const shown = items.map(({ record, ...rest }) => {
    listed({ ...rest, record });
    const link = el('a', { href: withRecord(record.id) }, dateTime(record.ts));
    return el('li', {}, link, ' ', el('strong', {}, record.caller), ` ${sentence(record)}`);
  });
  const long = items.length > 8;
  const list = el('ul.change-list', {}, shown.slice(0, 8));
  return el(
    'section.panel',
    {},
    el('h4', {}, title, el('span.quiet', {}, ` ${items.length}${more ? ' or more' : ''}`)),
    list,
    long
      ? el(
          'details',
          {},
          el('summary', {}, `${items.length - 8} earlier ones`),
          el('ul.change-list', {}, shown.slice(8)),
        )
      : null,
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
  if (kind === 'settings') return 'put settings into force';
  // `user_added` → `added the user`
  const parts = /^(.*)_(added|removed|changed|revoked|rotated|made)$/.exec(event ?? '');
  const what = parts ? `${parts[2]} the ${words(parts[1])}` : (VERBS[event] ?? words(event ?? kind));
  return subject ? `${what} ${subject}` : what;
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
