// The alerts: what fires, what it means, and what to do.

import { url } from './api.js';
import { ageing, badge, el, empty, prose, scrollRegion, table } from './dom.js';
import { proseWithFigures } from './figures.js';
import { ago, quantity, timeElement } from './format.js';

/** The alerts that need attention, each with what to do, and the others in a table. */
export function alertLists(alerts) {
  if (!alerts) return empty('The alerts have not been read yet.');
  const active = alerts.filter(({ state }) => state !== 'inactive');
  const inactive = alerts.filter(({ state }) => state === 'inactive');
  return [
    active.length === 0 ? empty('✓ No alert is firing or pending: nothing needs to be done.') : active.map(alertPanel),
    inactive.length > 0
      ? el(
          'details.panel',
          {},
          el('summary', {}, `${inactive.length} inactive ${inactive.length === 1 ? 'alert' : 'alerts'}`),
          scrollRegion(
            'Inactive alerts',
            table(
              ['Alert', 'Fires at', 'Now', 'Meaning'],
              inactive.map((alert) =>
                el(
                  'tr',
                  {},
                  el('th', { scope: 'row' }, el('a', { href: url(alert.runbook) }, alert.name)),
                  el('td.nowrap', {}, alert.condition),
                  el('td.nowrap', {}, now(alert)),
                  el('td.meaning', {}, prose(alert.meaning)),
                ),
              ),
            ),
          ),
        )
      : null,
  ];
}

/** The figure, or whether the state holds. */
function now({ value, unit }) {
  if (unit !== '' || value === null || value === undefined) return quantity(value, unit);
  return value >= 1 ? 'yes' : 'no';
}

function alertPanel(alert) {
  return el(
    'article',
    { class: `panel alert alert-${alert.severity} alert-${alert.state}` },
    el(
      'h4',
      {},
      badge(alert.state, alert.state),
      ' ',
      badge(alert.severity, alert.severity),
      ' ',
      prose(alert.summary),
    ),
    el(
      'p.quiet',
      {},
      el('code', {}, alert.name),
      ` ${alert.condition}; now ${now(alert)}`,
      alert.since ? [', since ', timeElement(alert.since), ' (', ageing(() => ago(alert.since)), ')'] : null,
    ),
    el('p', {}, prose(alert.meaning)),
    el('p', {}, el('strong', {}, 'To do: '), proseWithFigures(alert.remedy)),
    el('p', {}, el('a', { href: url(alert.runbook) }, `Runbook of ${alert.name}`)),
  );
}
