// What the last run of `acgs bench` found, from the audit log.

import { getExact } from './api.js';
import { badge, el, empty, fault, fill, scrollRegion, table } from './dom.js';
import { count, dateTime, duration, quantity } from './format.js';
import { listed } from './record.js';
import { withRecord } from './router.js';

const OUTCOMES = { missed: 'missed', open: 'unknown' };
const CONCLUSIONS = {
  not_compared: { kind: 'unknown', text: 'not compared' },
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
  const { names, rows } = figureTable(record.tests ?? []);
  return [
    el(
      'p.bench-run',
      {},
      conclusionBadge(record.conclusion),
      ' ',
      el('a', { href: withRecord(record.id) }, dateTime(record.ts)),
      ' run ',
      el('code', {}, record.run),
      ` by ${record.caller}`,
    ),
    scrollRegion(
      'Figures of the last run',
      table(
        ['Test', 'Outcome', ...names.map((name) => ({ number: name.replaceAll('_', ' ') }))],
        rows.map(({ test, conclusion, cells }) =>
          el(
            'tr',
            {},
            el('th', { scope: 'row' }, test),
            el('td', {}, conclusionBadge(conclusion)),
            cells.map((cell) => el('td.number', {}, cell ? figure(cell) : el('span.quiet', {}, '–'))),
          ),
        ),
      ),
    ),
  ];
}

function conclusionBadge(conclusion) {
  const { kind, text } = CONCLUSIONS[conclusion] ?? CONCLUSIONS.undecided;
  return badge(kind, text);
}

/** A figure; one that does not meet its target says so. */
function figure({ value, target, outcome }) {
  return outcome === 'met' ? value : [badge(OUTCOMES[outcome] ?? 'unknown', outcome), ` ${value}, target ${target}`];
}

/** The figures of all tests as texts: `{names, rows}`, with a row of cells for each test. */
export function figureTable(tests) {
  const names = [...new Set(tests.flatMap(({ figures = [] }) => figures.map(({ name }) => name)))];
  const rows = tests.map(({ test, rate_per_s: rate, duration_s: seconds, conclusion, figures = [] }) => ({
    test: `${test}: ${count(rate)} per second for ${duration(seconds)}`,
    conclusion,
    cells: names.map((name) => {
      const found = figures.find((one) => one.name === name);
      return found ? { value: valueOf(found), target: found.target, outcome: found.outcome } : null;
    }),
  }));
  return { names, rows };
}

function valueOf({ value, unit }) {
  return unit === 'MB' ? quantity(value === null ? null : value * 1e6, 'bytes') : quantity(value, unit);
}
