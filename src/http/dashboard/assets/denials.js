// The part `Denials`: who runs into what, over time.

import { get } from './api.js';
import { chart } from './charts.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { count, duration, words } from './format.js';
import { fragment, go } from './router.js';
import { has, missingScope } from './session.js';

const SPANS = [
  ['900', 'Last 15 min'],
  ['3600', 'Last hour'],
  ['21600', 'Last 6 h'],
  ['86400', 'Last 24 h'],
  ['604800', 'Last 7 days'],
];
const GROUPS = [
  {
    by: 'principle',
    title: 'By principle',
    nothing: 'No principle was violated in this time.',
    label: (name) => name,
  },
  {
    by: 'subject',
    title: 'By subject',
    nothing: 'Nothing was denied to anybody in this time.',
    label: (name) => name,
  },
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
    {},
    SPANS.map(([value, label]) => el('option', { value, selected: value === within }, label)),
  );
  select.addEventListener('change', () => go('denials', { within: select.value }));
  const refresh = el('button', { type: 'button' }, 'Refresh');
  const groups = el('div.denials');
  place.append(el('div.toolbar', {}, el('label', {}, 'Time ', select), refresh), groups);

  let charts = [];
  const end = () => {
    charts.forEach((made) => made.end());
    charts = [];
  };
  const load = async () => {
    const seconds = Number(within);
    const until = new Date();
    const span = {
      since: new Date(until.getTime() - seconds * 1000).toISOString(),
      until: until.toISOString(),
      interval_s: Math.max(1, seconds / POINTS),
    };
    const loaded = await Promise.all(
      GROUPS.map(async (group) => {
        try {
          return { group, answer: await get('v1/audit/denials', { ...span, by: group.by }) };
        } catch (error) {
          return { group, error };
        }
      }),
    );
    if (!groups.isConnected) return;
    end();
    fill(
      groups,
      loaded.map(({ group, answer, error }) => {
        const made = error ? { element: fault(error), charts: [] } : section(group, answer, within);
        charts.push(...made.charts);
        return el('section', {}, el('h3', {}, group.title), made.element);
      }),
    );
    charts.forEach((made) => made.start());
  };
  refresh.addEventListener('click', () => whileBusy(refresh, load));
  load();
  return end;
}

/** The largest series as charts with one common scale, the others as a list. */
function section({ by, nothing, label }, answer, within) {
  const { series, since, interval_s: interval, others = 0, complete = true } = answer;
  if (series.length === 0) return { element: empty(nothing), charts: [] };
  const sorted = [...series].sort((one, other) => other.total - one.total);
  const largest = Math.max(1, ...sorted.slice(0, CHARTS).flatMap(({ counts }) => counts));
  const start = new Date(since).getTime() / 1000;
  const charts = sorted.slice(0, CHARTS).map((line) => multiple(line, { by, label, largest, start, interval, within }));
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
      complete ? null : el('p.quiet', {}, 'There are more than could be counted: only the newest are.'),
    ],
    charts,
  };
}

function multiple({ name, total, counts }, { by, label, largest, start, interval, within }) {
  const times = counts.map((_, at) => start + at * interval);
  const made = chart({
    title: link(by, name, label(name), within),
    note: `${count(total)} in total`,
    lines: [{ name: `newest ${duration(interval)}`, colour: 'deny', fill: 'deny', width: 0, isBars: true }],
    format: count,
    height: 90,
    range: () => [0, largest * 1.1],
    // Whole bars, at both ends, too.
    timeRange: (_, first, last) => [first - interval / 2, last + interval / 2],
    sync: `denials-${by}`,
  });
  return { ...made, start: () => made.draw([times, counts]) };
}

/** A link to the decisions behind a series. */
function link(by, name, label, within) {
  return el('a', { href: fragment('decisions', { [by]: name, decision: 'false', within }) }, label);
}
