// The head: whether the daemon decides, under which constitution, whether the targets are met, and what to do now.

import { ageing, badge, el, empty, fill, fillIfChanged, prose, refreshAges, setText, symbol } from './dom.js';
import { ago, count, dateTime, duration, quantity, timeElement, timeOfDay } from './format.js';
import { outcome, proseWithFigures, targetText } from './figures.js';
import { follow, kpi, live } from './live.js';
import { has, missingScope } from './session.js';
import { url } from './api.js';

const STATES = {
  ready: { kind: 'ok', mark: '✓', word: 'Ready', meaning: 'Decisions are made and recorded.' },
  degraded: {
    kind: 'degraded',
    mark: '▲',
    word: 'Degraded',
    meaning: 'Decisions are made and recorded, but not all of the service works.',
  },
  down: {
    kind: 'down',
    mark: '✕',
    word: 'Down',
    meaning: 'No decision can be made: every question is answered with an error or a deny.',
  },
  unknown: { kind: 'unknown', mark: '–', word: 'Unknown', meaning: 'The daemon has not told its state yet.' },
};

const COMPLIANCE =
  'The share of the decisions that were made under the constitution in force, are on record, and, of a sample, came out the same when they were evaluated once more. Denials comply, too.';

const TARGETS = [
  { name: 'decision_latency_p99', title: 'Latency p99' },
  { name: 'decisions_per_s', title: 'Throughput' },
  { name: 'hit_rate', title: 'Cache hit rate' },
  { name: 'compliance', title: 'Compliance of decisions', meaning: COMPLIANCE },
];

/** Builds the head, and keeps it up to date. Answers the function that ends this. */
export function startHead(place) {
  if (!has('read')) {
    fill(
      place,
      el('h1.hidden-text', {}, 'State of the daemon'),
      empty(missingScope(['read'], 'The state of the daemon')),
    );
    return () => {};
  }
  const state = el('div.state', { role: 'status' });
  const checks = el('ul.checks');
  const constitution = el('div.constitution');
  const targets = TARGETS.map((target) => ({ ...target, tile: el('li.target') }));
  const alert = el('div.alert-now', { role: 'status', hidden: true });
  const stale = el('p.stale', { role: 'status', hidden: true });
  fill(
    place,
    el('h1.hidden-text', {}, 'State of the daemon'),
    el('div.head-row', {}, el('div.state-block', {}, state, checks), constitution),
    el(
      'ul.targets',
      { 'aria-label': 'Targets' },
      targets.map(({ tile }) => tile),
    ),
    alert,
    stale,
  );
  const update = (member) => {
    if (member === 'status') {
      showState(state, checks);
      showConstitution(constitution);
      setText(document.getElementById('node'), live.status ? `${live.status.node} · ${live.status.version}` : '');
    }
    if (member === 'performance') targets.forEach(showTarget);
    if (member === 'alerts') {
      showAlert(alert);
      showState(state, checks);
    }
    if (member === 'connection') showConnection(stale);
  };
  const leave = follow(update);
  ['status', 'performance', 'alerts'].forEach(update);
  return leave;
}

function showState(place, list) {
  const { fault } = live;
  const { kind, mark, word, meaning } = fault
    ? {
        kind: 'down',
        mark: '✕',
        word: fault.status === 0 ? 'Not reachable' : 'Unknown',
        meaning: `${fault.message.replace(/\.$/, '')}. The figures below are from before.`,
      }
    : (STATES[live.status?.state] ?? STATES.unknown);
  const firing = fault ? '' : firingInWords(live.alerts?.alerts ?? []);
  fillIfChanged(place, [word, meaning, firing], () => [
    el('p', { class: `state-word state-${kind}` }, symbol(mark), ` ${word}`),
    el('p.quiet', {}, meaning, firing ? [' ', el('a', { href: '#operations' }, firing)] : null),
  ]);
  const faulty = fault ? [] : (live.status?.checks ?? []).filter((check) => check.state !== 'ok');
  fillIfChanged(list, faulty, () =>
    faulty.map((check) =>
      el(
        'li',
        {},
        badge(check.state === 'failed' ? 'failed' : 'degraded', check.name),
        ' ',
        prose(check.fault ?? check.state),
      ),
    ),
  );
}

/** `1 critical alert and 3 warnings fire.`, or ''. */
export function firingInWords(alerts) {
  const firing = alerts.filter(({ state }) => state === 'firing');
  const critical = firing.filter(({ severity }) => severity === 'critical').length;
  const others = firing.length - critical;
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;
  const parts = [critical > 0 ? plural(critical, 'critical alert') : null, others > 0 ? plural(others, 'warning') : null];
  if (firing.length === 0) return '';
  return `${parts.filter(Boolean).join(' and ')} ${firing.length === 1 ? 'fires' : 'fire'}.`;
}

function showConstitution(place) {
  const now = live.status?.constitution;
  if (!now) return;
  const age = () => ago(now.in_force_since);
  fillIfChanged(place, now, () => [
    el('p.constitution-name', {}, now.name, el('span.quiet', {}, ` ${now.version ?? ''}`)),
    el(
      'p.quiet',
      {},
      'hash ',
      el('code', { title: `digest ${now.digest}` }, now.hash),
      ', in force since ',
      timeElement(now.in_force_since),
      ' (',
      ageing(age),
      ')',
    ),
  ]);
  refreshAges(place);
}

function showTarget({ name, title, meaning, tile }) {
  const figure = kpi(name);
  const { kind, text } = outcome(figure);
  tile.className = `target target-${kind}`;
  const value = figure ? quantity(figure.value, figure.unit) : '–';
  const span = figure?.window_s ? `, last ${duration(figure.window_s)}` : '';
  const isIdle = kind === 'unknown' && figure?.value !== null && figure?.target?.min !== undefined;
  const target = figure ? `${targetText(figure)}${isIdle ? ', if asked for' : ''}` : '';
  fillIfChanged(tile, [value, text, target, span], () => [
    el('span.target-title', { title: meaning }, title, span),
    el('strong.target-value', {}, value),
    el('span.target-outcome', {}, badge(kind, text), el('span.quiet', {}, ` ${target}`)),
  ]);
}

function showAlert(place) {
  const firing = (live.alerts?.alerts ?? []).filter((alert) => alert.state === 'firing');
  const first = firing.find((alert) => alert.severity === 'critical') ?? firing[0];
  place.hidden = !first;
  place.className = `alert-now alert-now-${first?.severity}`;
  const { name, severity, summary, remedy, runbook, since } = first ?? {};
  const more = firing.length - 1;
  fillIfChanged(place, [name, severity, summary, remedy, since, more], () =>
    first
      ? [
          el(
            'p',
            {},
            badge(severity, severity),
            ' ',
            el('strong', {}, prose(summary)),
            el('span.quiet', {}, since ? ` since ${dateTime(since)}` : ''),
          ),
          el('p.alert-todo', {}, el('strong', {}, 'To do: '), proseWithFigures(remedy)),
          el(
            'p',
            {},
            el('a', { href: url(runbook) }, `Runbook of ${name}`),
            ' · ',
            el('a', { href: '#operations' }, more > 0 ? `${more} more ${more === 1 ? 'alert' : 'alerts'}` : 'Operations'),
          ),
        ]
      : [],
  );
}

function showConnection(place) {
  const { isLive, since } = live.connection;
  place.hidden = isLive;
  const last = since ? `Not live since ${timeOfDay(since)}` : 'Not live yet';
  const text = isLive ? '' : ` ${last}: the connection to the daemon is interrupted and is tried again.`;
  fillIfChanged(place, text, () => (text ? [symbol('▲'), text] : []));
}
