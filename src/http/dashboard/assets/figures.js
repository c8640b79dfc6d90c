// The key figures: whether each meets its target, and all of them as a table.

import { badge, el, prose, scrollRegion, table } from './dom.js';
import { duration, quantity, words } from './format.js';
import { kpi, live } from './live.js';

/** The target in words: `≤ 5 ms`. */
export function targetText(figure) {
  const { below, max, min } = figure?.target ?? {};
  if (below !== undefined) return `< ${quantity(below, figure.unit)}`;
  if (max !== undefined) return `≤ ${quantity(max, figure.unit)}`;
  if (min !== undefined) return `${min >= 100 && isShare(figure) ? '' : '≥ '}${quantity(min, figure.unit)}`;
  return 'no target';
}

function isShare({ unit }) {
  return unit === 'percent' || unit === '%';
}

/** Whether a target is met: `met`, `missed`, or `unknown` if there was nothing to measure. */
export function outcome(figure) {
  if (figure?.met === true) return { kind: 'met', text: 'met' };
  if (figure?.met === false) return { kind: 'missed', text: 'missed' };
  const measured = figure?.value !== null && figure?.value !== undefined;
  return { kind: 'unknown', text: measured ? 'low demand' : 'nothing measured' };
}

/** `hit_rate_l1` → `Hit rate L1` */
function figureName(name) {
  const spoken = words(name)
    .replace(/\bl([123])\b/, 'L$1')
    .replace(/^cpu$/, 'CPU')
    .replace('per s', 'per second');
  return spoken[0].toUpperCase() + spoken.slice(1);
}

/** A text with names in backticks; those of figures have their present value beside them. */
export function proseWithFigures(text) {
  return prose(text).map((part) => {
    const figure = part instanceof Element ? kpi(part.textContent) : null;
    const isMeasured = figure?.value !== null && figure?.value !== undefined;
    return isMeasured ? [part, ` (now ${quantity(figure.value, figure.unit)})`] : part;
  });
}

/** The table; `rows` is its body. */
export function figureTable(rows) {
  return el(
    'div.panel.flush',
    {},
    scrollRegion('Key figures', table(['Figure', { number: 'Value' }, 'Over', 'Target'], rows)),
  );
}

/** The rows of the newest figures. */
export function figureRows() {
  const figures = live.performance?.kpis ?? [];
  if (figures.length === 0) return el('tr', {}, el('td.quiet', { colspan: '4' }, 'Nothing was measured yet.'));
  return figures.map((figure) =>
    el(
      'tr',
      {},
      el('th.figure-name', { scope: 'row' }, figureName(figure.name)),
      el('td.number', {}, quantity(figure.value, figure.unit)),
      el('td.nowrap', {}, figure.window_s === null ? 'now' : duration(figure.window_s)),
      el(
        'td',
        {},
        figure.target
          ? [badge(outcome(figure).kind, outcome(figure).text), ` ${targetText(figure)}`]
          : el('span.quiet', {}, '–'),
      ),
    ),
  );
}
