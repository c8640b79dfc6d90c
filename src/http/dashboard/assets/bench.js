// What the last run of `acgs bench` found, from the audit log.

import { getExact } from './api.js';
import { badge, el, empty, fault, fill, scrollRegion, table } from './dom.js';
import { count, dateTime, duration, quantity } from './format.js';
import { listed } from './record.js';
import { withRecord } from './router.js';

const OUTCOMES = { met: 'met', missed: 'missed', open: 'unknown' };
const CONCLUSIONS = {
  passed: { kind: 'met', text: 'passed' },
  undecided: { kind: 'unknown', text: 'undecided' },
  missed: { kind: 'missed', text: 'missed' },
};

/** A block with the last run; it is filled when the log was searched. */
export function lastBench() {
  const place = el('div.panel.flush', {}, el('p.quiet', { role: 'status' }, 'Reading the last run …'));
  read(place);
  return place;
}

async function read(place) {
  try {
    const { items } = await getExact('v1/audit/entries', { kind: 'bench', limit: 1 });
    const [item] = items;
    fill(place, item?.record ? run(item) : empty('No run is recorded. `acgs bench load --quick` measures this daemon.'));
  } catch (error) {
    fill(place, fault(error));
  }
}

function run(item) {
  const { record } = item;
  listed(item);
  const rows = figureRows(record.tests ?? []).map(({ test, name, value, target, kind, text }) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, test),
      el('td', {}, name),
      el('td.number', {}, value),
      el('td', {}, badge(kind, text), ` ${target}`),
    ),
  );
  const { kind, text } = CONCLUSIONS[record.conclusion] ?? CONCLUSIONS.undecided;
  return [
    el(
      'p.bench-run',
      {},
      badge(kind, text),
      ' ',
      el('a', { href: withRecord(record.id) }, dateTime(record.ts)),
      ' run ',
      el('code', {}, record.run),
      ` by ${record.caller}`,
    ),
    scrollRegion('Figures of the last run', table(['Test', 'Figure', { number: 'Value' }, 'Target'], rows)),
  ];
}

/** The figures of all tests as texts. */
export function figureRows(tests) {
  return tests.flatMap(({ test, rate_per_s: rate, duration_s: seconds, figures = [] }) =>
    figures.map(({ name, value, unit, target, outcome }) => ({
      test: `${test}: ${count(rate)} per second for ${duration(seconds)}`,
      name: name.replaceAll('_', ' '),
      value: unit === 'MB' ? quantity(value === null ? null : value * 1e6, 'bytes') : quantity(value, unit),
      target,
      kind: OUTCOMES[outcome] ?? 'unknown',
      text: outcome,
    })),
  );
}
