// The part `Live`: the last 15 minutes, drawn at most once a second.

import { chart } from './charts.js';
import { el, empty, fill, scrollRegion, table } from './dom.js';
import { bytes, count, number, quantity, timeOfDay } from './format.js';
import { follow, kpi, live } from './live.js';
import { has, missingScope } from './session.js';

const REDRAW_MS = 1000;
const WINDOW_S = 900;

const ms = (value) => quantity(value, 'ms');
const share = (value) => quantity(value, 'percent');
const perSecond = (value) => quantity(value, '/s');

const CHARTS = [
  {
    title: 'Decision latency',
    note: 'ms, in each second, logarithmic',
    isWide: true,
    height: 210,
    format: ms,
    axis: plain,
    isLog: true,
    lines: [
      { name: 'p50', key: 'p50', colour: 'line-1' },
      { name: 'p95', key: 'p95', colour: 'line-2', dash: [6, 3] },
      { name: 'p99', key: 'p99', colour: 'line-3', width: 2 },
    ],
    range: decades,
    targets: latencyTargets,
    nothing:
      'No decision was made in these 15 minutes, so there is no latency. Send a question to POST /access/v1/evaluation.',
  },
  {
    title: 'Throughput',
    note: 'decisions per second',
    isWide: true,
    height: 210,
    format: perSecond,
    axis: plain,
    isStacked: true,
    lines: [
      { name: 'permit', key: 'permitted', colour: 'permit', fill: 'permit-fill' },
      { name: 'deny', key: 'denied', colour: 'deny', fill: 'deny-fill', dash: [4, 2] },
    ],
    range: fromZero(1),
    targets: () => limits('decisions_per_s', 'min'),
    nothing: 'No decision was made in these 15 minutes.',
  },
  {
    title: 'Cache hit rate',
    note: 'in each second',
    format: share,
    axis: plainShare,
    lines: [
      { name: 'overall', key: 'hit', colour: 'line-3', width: 2 },
      { name: 'L1', key: 'hit_l1', colour: 'line-1' },
      { name: 'L2', key: 'hit_l2', colour: 'line-2', dash: [6, 3] },
      { name: 'L3', key: 'hit_l3', colour: 'line-4', dash: [2, 2] },
    ],
    range: () => [0, 103],
    targets: () => limits('hit_rate', 'min'),
    nothing: 'No cache was asked in these 15 minutes.',
  },
  {
    title: 'Database pool',
    note: 'connections',
    format: count,
    axis: plain,
    lines: [
      { name: 'open', key: 'pool_open', colour: 'line-1' },
      { name: 'busy', key: 'pool_busy', colour: 'line-3', width: 2 },
      { name: 'waiting callers', key: 'pool_waiting', colour: 'deny', dash: [4, 2] },
    ],
    range: fromZero(4),
    nothing: 'The pool has not been measured yet.',
  },
  {
    title: 'Audit commit',
    note: 'time of a sync in ms, logarithmic',
    format: ms,
    axis: plain,
    isLog: true,
    lines: [
      { name: 'p50', key: 'commit_p50', colour: 'line-1' },
      { name: 'p99', key: 'commit_p99', colour: 'line-3', width: 2 },
    ],
    range: decades,
    nothing: 'Nothing was written to the audit log in these 15 minutes.',
  },
  {
    title: 'Audit queue',
    note: 'records',
    format: count,
    axis: plain,
    lines: [
      { name: 'in a commit', key: 'commit_batch', colour: 'line-1' },
      { name: 'waiting', key: 'queue', colour: 'line-3', width: 2 },
    ],
    range: fromZero(4),
    nothing: 'Nothing was written to the audit log in these 15 minutes.',
  },
  {
    title: 'CPU',
    note: 'of all cores',
    format: share,
    axis: plainShare,
    lines: [{ name: 'process', key: 'cpu', colour: 'line-1', fill: 'line-1-fill' }],
    range: () => [0, 103],
    targets: () => limits('cpu', 'max'),
    nothing: 'The processor has not been measured yet.',
  },
  {
    title: 'Memory',
    note: 'of the process',
    format: bytes,
    axis: bytes,
    lines: [{ name: 'resident', key: 'memory', colour: 'line-1', fill: 'line-1-fill' }],
    range: fromZero(1e7),
    nothing: 'The memory has not been measured yet.',
  },
];

function plain(value) {
  return number(value);
}

function plainShare(value) {
  return `${number(value)} %`;
}

/** A range that begins at zero and has room above. */
function fromZero(least) {
  return (_, __, max) => [0, Math.max(least, (max ?? 0) * 1.12)];
}

/** Whole decades around the values, at least from 0.1 to 10. */
function decades(_, min, max) {
  const low = Math.min(0.1, min > 0 ? min : 0.1);
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(Math.max(10, max ?? 10)))];
}

/** Of a rate, the heading of the chart has the unit: the margin has no place for it. */
function limits(name, side) {
  const figure = kpi(name);
  const value = figure?.target?.[side];
  if (value === undefined) return [];
  const shown = figure.unit === '1/s' ? number(value) : quantity(value, figure.unit);
  return [{ value, label: `${side === 'max' ? '≤' : '≥'} ${shown}` }];
}

function latencyTargets() {
  return ['p50', 'p95', 'p99'].flatMap((name) => {
    const value = kpi(`decision_latency_${name}`)?.target?.max;
    return value === undefined ? [] : [{ value, label: `${name} ≤ ${ms(value)}` }];
  });
}

/** The 15 minutes up to the newest point, also where the daemon is younger than that. */
function window(plot) {
  const newest = plot.data[0].at(-1) ?? Date.now() / 1000;
  return [newest - WINDOW_S, newest];
}

/** Shows the part; answers the function that ends it. */
export function show(place) {
  if (!has('read')) return void fill(place, el('h2', {}, 'Live'), empty(missingScope(['read'], 'The measurements')));
  const charts = CHARTS.map((options) => {
    const made = chart({ ...options, sync: 'live', timeRange: window });
    if (options.isWide) made.element.classList.add('wide');
    return { ...made, options };
  });
  const rows = el('tbody');
  const columns = ['Measure', { number: 'Newest' }, { number: 'Lowest' }, { number: 'Highest' }];
  const details = el(
    'details.panel.values',
    { ontoggle: () => details.open && fillRows(rows) },
    el('summary', {}, 'The same values as a table'),
    scrollRegion('Values of the last 15 minutes', table(columns, rows)),
  );
  fill(
    place,
    el('h2', {}, 'Live ', el('span.quiet', {}, 'the last 15 minutes')),
    el(
      'div.charts',
      {},
      charts.map(({ element }) => element),
    ),
    details,
  );

  let due = null;
  let last = -Infinity;
  let isOver = false;
  const draw = () => {
    due = null;
    if (isOver) return;
    last = performance.now();
    const { series } = live;
    for (const { draw: drawChart, options } of charts) {
      drawChart([series.at, ...options.lines.map(({ key }) => series[key] ?? series.at.map(() => null))]);
    }
    if (details.open) fillRows(rows);
  };
  const update = (member) => {
    if (member !== 'series' || due !== null) return;
    due = setTimeout(() => requestAnimationFrame(draw), Math.max(0, last + REDRAW_MS - performance.now()));
  };
  const leave = follow(update);
  draw();
  return () => {
    isOver = true;
    leave();
    clearTimeout(due);
    charts.forEach(({ end }) => end());
  };
}

function fillRows(place) {
  const { series } = live;
  const values = CHARTS.flatMap(({ title, lines, format }) =>
    lines.map(({ name, key }) => {
      const known = (series[key] ?? []).filter((value) => value !== null && value !== undefined);
      const extreme = (choose) => (known.length > 0 ? format(known.reduce((a, b) => choose(a, b))) : '–');
      return el(
        'tr',
        {},
        el('th', { scope: 'row' }, `${title}: ${name}`),
        [format(series[key]?.at(-1) ?? null), extreme(Math.min), extreme(Math.max)].map((value) =>
          el('td.number', {}, value),
        ),
      );
    }),
  );
  const newest = series.at.at(-1);
  const caption = newest ? `as of ${timeOfDay(new Date(newest * 1000))}` : 'nothing measured yet';
  fill(place, values, el('tr', {}, el('td.quiet', { colspan: '4' }, caption)));
}
