// The part `Operations`: alerts with their remedies, the state of everything, and what was changed.

import { alertLists } from './alerts.js';
import { get } from './api.js';
import { lastBench } from './bench.js';
import { changes } from './changes.js';
import { el, empty, fault, fill, fillIfChanged, refreshAges } from './dom.js';
import { auditFacts, cacheFacts, nodeFacts, poolFacts } from './facts.js';
import { figureRows, figureTable } from './figures.js';
import { follow, live } from './live.js';
import { every } from './poll.js';
import { has, missingScope } from './session.js';

const REFRESH_MS = 5000;

export function show(place) {
  if (!has('read')) return void fill(place, el('h2', {}, 'Operations'), empty(missingScope(['read'], 'Operations')));
  const alerts = el('div');
  const figures = el('tbody');
  const node = el('div');
  const audit = el('div');
  const pools = el('div');
  const caches = el('div');
  const panel = (title, content) => el('section.panel', {}, el('h3', {}, title), content);
  fill(
    place,
    el('h2', {}, 'Operations'),
    contents(),
    el('section', { id: 'alerts' }, el('h3', {}, 'Alerts'), alerts),
    el(
      'div.columns',
      {},
      panel('Node', node),
      panel('Audit log', audit),
      panel('Database', pools),
      panel('Caches', caches),
    ),
    el(
      'section',
      { id: 'changes' },
      el('h3', {}, 'What was changed'),
      has('audit:read') ? changes() : empty(missingScope(['audit:read'], 'The changes')),
    ),
    el(
      'section',
      { id: 'bench' },
      el('h3', {}, 'Last benchmark'),
      has('audit:read') ? lastBench() : empty(missingScope(['audit:read'], 'The last benchmark')),
    ),
    el('section', { id: 'figures' }, el('h3', {}, 'Key figures'), figureTable(figures)),
  );

  const update = (member) => {
    if (member === 'alerts') fillIfChanged(alerts, live.alerts?.alerts, () => alertLists(live.alerts?.alerts));
    if (member === 'performance') fillIfChanged(figures, live.performance?.kpis, figureRows);
    if (member === 'status') {
      fillIfChanged(node, live.status && [live.status.checks, live.status.started_at], nodeFacts);
      fillIfChanged(audit, live.status?.audit, auditFacts);
      refreshAges(place);
    }
  };
  const leave = follow(update);
  ['alerts', 'performance', 'status'].forEach(update);

  const end = every(REFRESH_MS, () =>
    Promise.all([part(pools, get('v1/pool'), poolFacts), part(caches, get('v1/cache'), cacheFacts)]),
  );
  return () => {
    end();
    leave();
  };
}

/** Buttons that lead to the sections: the address names parts and records, so that it cannot name them. */
function contents() {
  const sections = { alerts: 'Alerts', changes: 'What was changed', bench: 'Last benchmark', figures: 'Key figures' };
  return el(
    'nav.contents',
    { 'aria-label': 'Sections' },
    Object.entries(sections).map(([id, title]) =>
      el('button.plain', { type: 'button', onclick: () => document.getElementById(id).scrollIntoView() }, title),
    ),
  );
}

async function part(place, answer, shown) {
  try {
    const facts = await answer;
    fillIfChanged(place, facts, () => shown(facts));
  } catch (error) {
    fillIfChanged(place, error.message, () => fault(error));
  }
}
