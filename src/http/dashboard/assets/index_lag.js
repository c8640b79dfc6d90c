// How far the search index is behind the log: what is newer is not found yet.

import { el, setText } from './dom.js';
import { count, duration } from './format.js';
import { follow, kpi, live } from './live.js';

/** From how many seconds on it is said. */
const NOTABLE_S = 5;
/** From how many records on it is said, however few are made now. */
const NOTABLE_RECORDS = 1000;

/** The lag in words, or '' if there is none worth a word. `perSecond`: decisions per second, or `null`. */
export function lagText(records, perSecond) {
  const seconds = perSecond > 0 ? Math.round(records / perSecond) : null;
  const isNotable = records > NOTABLE_RECORDS || (seconds !== null && seconds >= NOTABLE_S);
  if (!isNotable) return '';
  const time = seconds === null ? '' : `about ${duration(seconds)} behind, `;
  return `The search is ${time}${count(records)} records: what is newer is not counted or found yet.`;
}

/** A notice that follows the lag: `{element, leave}`. */
export function lagNotice() {
  const element = el('p.lag', { role: 'status', hidden: true });
  const update = (member) => {
    if (member !== 'status') return;
    const text = lagText(live.status?.audit.index_lag ?? 0, kpi('decisions_per_s')?.value ?? null);
    element.hidden = text === '';
    setText(element, text);
  };
  update('status');
  return { element, leave: follow(update) };
}
