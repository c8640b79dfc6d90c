// The part `Decisions`: the recorded decisions, newest first, with filters in the address.

import { getExact } from './api.js';
import { badge, el, empty, fault, fill, setText, whileBusy } from './dom.js';
import { dateTime, entityName, words } from './format.js';
import { filterForm, searchOf } from './filters.js';
import { listed } from './record.js';
import { principlesOf } from './reasons.js';
import { withRecord } from './router.js';
import { has, missingScope } from './session.js';

const PAGE = 50;
const REFRESH_MS = 5000;
const MAX_ROWS = 2000;
const MAX_WATCHED = 300;
const COLUMNS = ['Time', 'Decision', 'Subject', 'Action', 'Resource', 'Reason', 'Principles'];

export function show(place, query) {
  fill(place, el('h2', {}, 'Decisions'));
  if (!has('audit:read')) return void place.append(empty(missingScope(['audit:read'], 'The decisions')));
  const rows = el('tbody', { role: 'rowgroup' });
  const table = el(
    'table.decisions',
    { role: 'table', 'aria-label': 'Decisions, newest first' },
    el(
      'thead',
      { role: 'rowgroup' },
      el(
        'tr',
        { role: 'row' },
        COLUMNS.map((title) => el('th', { scope: 'col', role: 'columnheader' }, title)),
      ),
    ),
    rows,
  );
  const message = el('div', { role: 'status' });
  const older = el('button', { type: 'button', hidden: true }, 'Load older decisions');
  const refreshes = el('input', { type: 'checkbox', checked: true });
  const counted = el('span.quiet');
  place.append(
    filterForm(query),
    el('div.toolbar', {}, counted, el('label.check', {}, refreshes, ' Refresh every 5 s')),
    el('div.panel.flush', {}, table, message),
    older,
  );

  const known = new Set();
  let cursor = null;
  let isLoading = false;
  let isWatching = true;

  const ask = (from) =>
    getExact('v1/audit/entries', { ...searchOf(query), kind: 'decision', limit: PAGE, cursor: from });
  const unknown = (page) => page.items.filter((item) => !known.has(keyOf(item)));
  const rowsOf = (items) =>
    items.map((item) => {
      known.add(keyOf(item));
      return row(item);
    });

  const first = async () => {
    const page = await ask(null);
    fill(rows, rowsOf(page.items));
    cursor = page.next_cursor;
  };
  const refresh = async () => {
    const page = await ask(null);
    const fresh = unknown(page);
    // If none of a full page is known, there may be more between it and the known ones: the list begins anew. So it does
    // when it became long while it was only watched.
    const isGap = fresh.length === page.items.length && fresh.length > 0;
    if (isGap || (isWatching && known.size > MAX_WATCHED)) {
      known.clear();
      fill(rows, rowsOf(page.items));
      cursor = page.next_cursor;
    } else {
      rows.prepend(...rowsOf(fresh));
    }
  };
  const more = async () => {
    isWatching = false;
    const page = await ask(cursor);
    rows.append(...rowsOf(unknown(page)));
    cursor = page.next_cursor;
    setText(older, page.items.length === 0 ? 'Search further back' : 'Load older decisions');
  };
  const load = async (step) => {
    if (isLoading) return;
    isLoading = true;
    try {
      await step();
      older.hidden = cursor === null || known.size >= MAX_ROWS;
      setText(counted, known.size > 0 ? `${known.size} shown` : '');
      fill(message, known.size > 0 ? [] : nothing(query, cursor));
    } catch (error) {
      fill(message, fault(error));
    } finally {
      isLoading = false;
    }
  };

  older.addEventListener('click', () => whileBusy(older, () => load(more)));
  const timer = setInterval(() => {
    const isSeen = !document.hidden && !document.getElementById('record').open;
    if (refreshes.checked && isSeen) load(known.size > 0 ? refresh : first);
  }, REFRESH_MS);
  load(first);
  return () => clearInterval(timer);
}

function keyOf({ origin, index }) {
  return `${origin} ${index}`;
}

function nothing(query, cursor) {
  if (cursor !== null)
    return empty('Nothing was found so far. The search has not come to the end: search further back.');
  if ([...query].length > 0)
    return empty('No decision fits these filters. ', el('a', { href: '#decisions' }, 'Show all decisions.'));
  return empty(
    'No decision was recorded yet. Send a question to ',
    el('code', {}, 'POST /access/v1/evaluation'),
    '; the README shows one.',
  );
}

function row(item) {
  const { record } = item;
  listed(item);
  const link = el('a', { href: `#decisions?record=${encodeURIComponent(record.id)}` }, dateTime(record.ts));
  const open = () => {
    location.hash = withRecord(record.id);
  };
  link.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    open();
  });
  const { violated, warned } = principlesOf(record);
  const principles = [...violated, ...warned.map((principle) => `${principle} (warning)`)].join(', ');
  const cell = (name, ...content) => el('td', { role: 'cell', class: `cell-${name}` }, content);
  return el(
    'tr',
    { role: 'row', onclick: (event) => event.target.closest('a') || String(getSelection()) || open() },
    cell('time', link),
    cell('decision', record.decision ? badge('permit', 'permit') : badge('deny', 'deny')),
    cell('subject', entityName(record.subject)),
    cell('action', record.action?.name ?? '–'),
    cell('resource', entityName(record.resource)),
    cell('reason', words(record.reason)),
    cell('principles', principles || el('span.quiet', {}, '–')),
  );
}
