// The part `Operations`: alerts with their remedies, the state of everything, and what was changed.

import { alertLists } from './alerts.js';
import { get } from './api.js';
import { changes } from './changes.js';
import { el, empty, fault, fill } from './dom.js';
import { auditFacts, cacheFacts, nodeFacts, poolFacts } from './facts.js';
import { figureRows, figureTable } from './figures.js';
import { follow, live } from './live.js';
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
    el('section', {}, el('h3', {}, 'Alerts'), alerts),
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
      {},
      el('h3', {}, 'What was changed'),
      has('audit:read') ? changes() : empty(missingScope(['audit:read'], 'The changes')),
    ),
    el('section', {}, el('h3', {}, 'Key figures'), figureTable(figures)),
  );

  let shownAlerts = '';
  const update = (member) => {
    if (member === 'alerts') {
      const text = JSON.stringify(live.alerts?.alerts ?? null);
      if (text !== shownAlerts) fill(alerts, alertLists(live.alerts?.alerts));
      shownAlerts = text;
    }
    if (member === 'performance') fill(figures, figureRows());
    if (member === 'status') {
      fill(node, nodeFacts());
      fill(audit, auditFacts());
    }
  };
  const leave = follow(update);
  ['alerts', 'performance', 'status'].forEach(update);

  const read = async () => {
    if (document.hidden) return;
    await Promise.all([part(pools, get('v1/pool'), poolFacts), part(caches, get('v1/cache'), cacheFacts)]);
  };
  read();
  const timer = setInterval(read, REFRESH_MS);
  return () => {
    clearInterval(timer);
    leave();
  };
}

async function part(place, answer, shown) {
  try {
    fill(place, shown(await answer));
  } catch (error) {
    fill(place, fault(error));
  }
}
