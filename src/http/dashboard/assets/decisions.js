// The part `Decisions`: the recorded decisions, newest first, with filters in the address.

import { getExact } from './api.js';
import { el, empty, fault, fill, fillIfChanged, keepingFocus, setText, verdictBadge, whileBusy } from './dom.js';
import { count, dateTime, entityName, words } from './format.js';
import { filterForm, searchOf } from './filters.js';
import { lagNotice } from './index_lag.js';
import { live } from './live.js';
import { every } from './poll.js';
import { listed } from './record.js';
import { principlesOf } from './reasons.js';
import { withRecord } from './router.js';
import { has, missingScope } from './session.js';

const PAGE = 50;
const REFRESH_MS = 5000;
const MAX_ROWS = 2000;
const MAX_WATCHED = 300;
/** Records of this many seconds before the newest one are asked for again: they may have been indexed later. */
const OVERLAP_S = 60;
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
  const refreshes = el('input', { type: 'checkbox', name: 'refreshes', checked: true });
  const counted = el('span.quiet');
  const lag = lagNotice();
  place.append(
    filterForm(query),
    el('div.toolbar', {}, counted, el('label.check', {}, refreshes, ' Refresh every 5 s')),
    lag.element,
    el('div.panel.flush', {}, table, message),
    older,
  );

  const known = new Set();
  let cursor = null;
  /** The time of the newest record that is known; of an empty list, the time when it was read. */
  let newest = null;
  /** When the list was read or refreshed the last time: here, and at the daemon, which may have another time. */
  let asked = null;
  let isPaused = false;

  const ask = (from, more = {}) => {
    const search = { ...searchOf(query), kind: 'decision', limit: PAGE, cursor: from, ...more };
    return getExact('v1/audit/entries', search);
  };
  const unknown = (page) => page.items.filter((item) => !known.has(keyOf(item)));
  const rowsOf = (items) =>
    items.map((item) => {
      known.add(keyOf(item));
      const time = item.record?.ts ?? null;
      if (time !== null && (newest === null || time > newest)) newest = time;
      return row(item);
    });

  const now = () => ({ here: Date.now(), there: live.series.at.at(-1) ?? null });
  const first = async () => {
    asked = now();
    const page = await ask(null);
    known.clear();
    newest = null;
    keepingFocus(rows, () => fill(rows, rowsOf(page.items)));
    if (newest === null && asked.there !== null) newest = new Date(asked.there * 1000).toISOString();
    cursor = page.next_cursor;
  };
  const refresh = async () => {
    if (newest === null || known.size > MAX_WATCHED) return first();
    asked = now();
    const page = await ask(null, { from: laterOf(searchOf(query).from, before(newest)) });
    const fresh = unknown(page);
    // If none of the page is known, and it is not all there is, others may be between them: the list begins anew.
    if (page.next_cursor !== null && fresh.length === page.items.length) return first();
    rows.prepend(...rowsOf(fresh));
    return undefined;
  };
  const more = async () => {
    const page = await ask(cursor);
    rows.append(...rowsOf(unknown(page)));
    cursor = page.next_cursor;
    setText(older, page.items.length === 0 ? 'Search further back' : 'Load older decisions');
  };
  const tellCount = () => {
    const remark = isPaused ? '; not refreshed while text in it is selected' : '';
    setText(counted, known.size > 0 ? `${known.size} shown${remark}` : '');
  };
  const attempt = async (step) => {
    try {
      await step();
      older.hidden = cursor === null || known.size >= MAX_ROWS;
      fillIfChanged(message, [known.size > 0, cursor !== null], () => (known.size > 0 ? [] : nothing(query, cursor)));
    } catch (error) {
      fillIfChanged(message, error.message, () => fault(error));
    }
    tellCount();
  };
  // A step waits for the one before it, so that no click is lost and no two change the list at once.
  let running = Promise.resolve();
  const load = (step) => {
    running = running.then(() => attempt(step));
    return running;
  };

  older.addEventListener('click', () => {
    // The rows stay where they are while older ones are read.
    refreshes.checked = false;
    whileBusy(older, () => load(more));
  });
  const end = every(REFRESH_MS, () => {
    if (asked === null) return load(first);
    if (!refreshes.checked || document.getElementById('record').open) return undefined;
    isPaused = isSelectedIn(rows);
    tellCount();
    return isPaused || !isDue(asked, live) ? undefined : load(refresh);
  });
  return () => {
    end();
    lag.leave();
  };
}

/** Whether one of the rows has a part of the selected text. */
function isSelectedIn(rows) {
  const selection = getSelection();
  return !selection.isCollapsed && rows.contains(selection.anchorNode);
}

/**
 * Whether there may be new decisions since the list was asked for: this node made some, or does not tell. Other nodes may
 * have made some, too, so it is due once a minute in any case.
 */
export function isDue({ here, there }, { series, connection, status }, now = Date.now()) {
  const isLate = now - here >= OVERLAP_S * 1000;
  if (isLate || there === null || !connection.isLive || status?.audit.index_lag > 0) return true;
  const isBusy = (point) => series.permitted?.[point] > 0 || series.denied?.[point] > 0;
  return series.at.some((at, point) => at >= there - OVERLAP_S && isBusy(point));
}

/** The time a minute before another one. */
function before(time) {
  return new Date(new Date(time).getTime() - OVERLAP_S * 1000).toISOString();
}

function laterOf(one, other) {
  return one && one > other ? one : other;
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
  if (!record) return rowElsewhere(item);
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
    cell('decision', verdictBadge(record.decision)),
    cell('subject', entityName(record.subject)),
    cell('action', record.action?.name ?? '–'),
    cell('resource', entityName(record.resource)),
    cell('reason', words(record.reason)),
    cell('principles', principles || el('span.quiet', {}, '–')),
  );
}

/** The row of a decision whose record is neither in this node's log nor in the search index. */
function rowElsewhere({ origin, index }) {
  const text = `Entry ${count(index)} of ${origin}: only that node has the record.`;
  return el('tr.elsewhere', { role: 'row' }, el('td.quiet', { role: 'cell', colspan: COLUMNS.length }, text));
}
