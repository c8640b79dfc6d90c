// The alerts: what fires, what it means, and what to do.

import { url } from './api.js';
import { badge, el, empty, prose } from './dom.js';
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
          el('summary', {}, `${inactive.length} inactive alerts`),
          el(
            'div.scroll',
            { tabindex: '0', role: 'region', 'aria-label': 'Inactive alerts' },
            el(
              'table',
              {},
              el(
                'thead',
                {},
                el(
                  'tr',
                  {},
                  ['Alert', 'Fires at', 'Now', 'Meaning'].map((title) => el('th', { scope: 'col' }, title)),
                ),
              ),
              el(
                'tbody',
                {},
                inactive.map((alert) =>
                  el(
                    'tr',
                    {},
                    el('th', { scope: 'row' }, el('a', { href: url(alert.runbook) }, alert.name)),
                    el('td.nowrap', {}, alert.condition),
                    el('td.nowrap', {}, quantity(alert.value, alert.unit)),
                    el('td', {}, prose(alert.meaning)),
                  ),
                ),
              ),
            ),
          ),
        )
      : null,
  ];
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
      ` ${alert.condition}; now ${quantity(alert.value, alert.unit)}`,
      alert.since ? [', since ', timeElement(alert.since), ` (${ago(alert.since)})`] : null,
    ),
    el('p', {}, prose(alert.meaning)),
    el('p', {}, el('strong', {}, 'To do: '), prose(alert.remedy)),
    el('p', {}, el('a', { href: url(alert.runbook) }, `Runbook of ${alert.name}`)),
  );
}
