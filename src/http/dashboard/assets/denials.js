// The part `Denials`: how often each principle, subject and reason was denied for, over time.

import { get } from './api.js';
import { chart } from './charts.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { count, dateTime, duration, words } from './format.js';
import { lagNotice } from './index_lag.js';
import { fragment, go } from './router.js';
import { has, missingScope } from './session.js';
import { SPANS } from './spans.js';

const GROUPS = [
  {
    by: 'principle',
    title: 'By principle',
    nothing: 'No principle was violated in this time.',
    label: (name) => name,
  },
  { by: 'subject', title: 'By subject', nothing: 'Nothing was denied in this time.', label: (name) => name },
  { by: 'reason', title: 'By reason', nothing: 'Nothing was denied in this time.', label: words },
];
const CHARTS = 6;
const POINTS = 60;

export function show(place, query) {
  fill(place, el('h2', {}, 'Denials'));
  if (!has('audit:read')) return void place.append(empty(missingScope(['audit:read'], 'The denials')));
  const within = SPANS.some(([value]) => value === query.get('within')) ? query.get('within') : '3600';
  const select = el(
    'select',
    { name: 'within' },
    SPANS.map(([value, label]) => el('option', { value, selected: value === within }, label)),
  );
  select.addEventListener('change', () => go('denials', { within: select.value }));
  const refresh = el('button', { type: 'button' }, 'Refresh');
  const groups = GROUPS.map((group) => ({
    ...group,
    charts: [],
    content: el('div.denial-group', {}, el('p.quiet', { role: 'status' }, 'Counting …')),
  }));
  const lag = lagNotice();
  place.append(
    el('div.toolbar', {}, el('label', {}, 'Time ', select), refresh),
    lag.element,
    el(
      'div.denials',
      {},
      groups.map(({ title, content }) => el('section', {}, el('h3', {}, title), content)),
    ),
  );

  let isOver = false;
  const load = async () => {
    const seconds = Number(within);
    const until = new Date();
    const span = {
      since: new Date(until.getTime() - seconds * 1000).toISOString(),
      until: until.toISOString(),
      interval_s: Math.max(1, seconds / POINTS),
    };
    // One after the other: a count may take all the time that a search has, and few threads search.
    for (const group of groups) {
      const made = await counted(group, span, within);
      if (isOver) return;
      group.charts.forEach(({ end }) => end());
      fill(group.content, made.element);
      group.charts = made.charts;
      group.charts.forEach(({ start }) => start());
    }
  };
  refresh.addEventListener('click', () => whileBusy(refresh, load));
  whileBusy(refresh, load);
  return () => {
    isOver = true;
    lag.leave();
    groups.forEach(({ charts }) => charts.forEach(({ end }) => end()));
  };
}

async function counted(group, span, within) {
  try {
    return section(group, await get('v1/audit/denials', { ...span, by: group.by }), within);
  } catch (error) {
    return { element: fault(error), charts: [] };
  }
}

/** The largest series as charts with one common scale, the others as a list. */
function section({ by, nothing, label }, answer, within) {
  const { series, interval_s: interval, others = 0 } = answer;
  const gap = gapOf(answer);
  if (series.length === 0)
    return {
      element: gap ? [empty('None was found in the time that was examined.'), gap] : empty(nothing),
      charts: [],
    };
  const sorted = [...series].sort((one, other) => other.total - one.total);
  const largest = Math.max(1, ...sorted.slice(0, CHARTS).flatMap(({ counts }) => counts));
  const charts = sorted.slice(0, CHARTS).map((line) => multiple(line, { by, label, largest, answer, within }));
  const rest = sorted.slice(CHARTS);
  return {
    element: [
      el('p.quiet', {}, `Each bar is ${duration(interval)}; the charts have one scale. A name leads to its decisions.`),
      el(
        'div.multiples',
        {},
        charts.map(({ element }) => element),
      ),
      rest.length > 0
        ? el(
            'ul.rest',
            {},
            rest.map(({ name, total }) => el('li', {}, link(by, name, label(name), within), ` ${count(total)}`)),
          )
        : null,
      others > 0 ? el('p.quiet', {}, `And ${count(others)} denials of others.`) : null,
      gap,
    ],
    charts,
  };
}

/** A sentence, if not all of the time was examined. */
function gapOf({ complete = true, counted_since: since }) {
  if (complete) return null;
  const text = since
    ? `Only the denials since ${dateTime(since)} could be counted in the time that a search has.`
    : 'There are more than could be counted: only the newest are.';
  return el('p.quiet', {}, text);
}

/** `[times, counts]` of a series; an interval that was not examined has no count. */
export function pointsOf(counts, { since, interval_s: interval, counted_since: examined }) {
  const start = new Date(since).getTime() / 1000;
  const from = examined ? new Date(examined).getTime() / 1000 : -Infinity;
  const times = counts.map((_, at) => start + at * interval);
  return [times, counts.map((value, at) => (times[at] + interval <= from ? null : value))];
}

function multiple({ name, total, counts }, { by, label, largest, answer, within }) {
  const interval = answer.interval_s;
  const made = chart({
    title: link(by, name, label(name), within),
    note: `${count(total)} in total`,
    lines: [{ name: `last ${duration(interval)}`, colour: 'deny', fill: 'deny', width: 0, isBars: true }],
    format: count,
    height: 90,
    range: () => [0, largest * 1.1],
    // Whole bars, at both ends, too.
    timeRange: (_, first, last) => [first - interval / 2, last + interval / 2],
    sync: `denials-${by}`,
  });
  return { ...made, start: () => made.draw(pointsOf(counts, answer)) };
}

/** A link to the decisions behind a series. Those of a question that could not be read have no subject. */
function link(by, name, label, within) {
  if (name === '') return by === 'subject' ? '(no readable subject)' : '(none)';
  return el('a', { href: fragment('decisions', { [by]: name, decision: 'false', within }) }, label);
}
