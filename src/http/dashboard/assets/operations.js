// The part `Operations`: alerts with their remedies, the state of everything, and what was changed.

import { get, url } from './api.js';
import { changes } from './changes.js';
import { badge, el, empty, fault, fill, pair, prose } from './dom.js';
import { ago, bytes, count, duration, percent, quantity, timeElement, words } from './format.js';
import { outcome, targetText } from './head.js';
import { follow, live } from './live.js';
import { has, missingScope } from './session.js';

const REFRESH_MS = 5000;

export function show(place) {
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

function alertLists(alerts) {
    if (!alerts) return empty('The alerts have not been read yet.');
    const active = alerts.filter(({ state }) => state !== 'inactive');
    const inactive = alerts.filter(({ state }) => state === 'inactive');
    return [
        active.length === 0
            ? empty('✓ No alert is firing or pending: nothing needs to be done.')
            : active.map(alertPanel),
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
                                  ['Alert', 'Fires at', 'Now', 'Meaning'].map((title) =>
                                      el('th', { scope: 'col' }, title),
                                  ),
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

function nodeFacts() {
    const { status } = live;
    if (!status) return empty('The state has not been read yet.');
    return el(
        'dl.facts',
        {},
        pair('Node', status.node),
        pair('Version', status.version),
        pair(
            'Up for',
            duration(Math.max(0, (Date.now() - new Date(status.started_at).getTime()) / 1000)),
            el('span.quiet', {}, ' since ', timeElement(status.started_at)),
        ),
        pair(
            'Checks',
            el(
                'ul.check-list',
                {},
                status.checks.map((check) =>
                    el(
                        'li',
                        {},
                        badge(check.state === 'ok' ? 'ok' : check.state, check.name),
                        check.fault ? [' ', prose(check.fault)] : '',
                    ),
                ),
            ),
        ),
    );
}

function auditFacts() {
    const audit = live.status?.audit;
    if (!audit) return empty('The state has not been read yet.');
    const { checkpoint, witnesses } = audit;
    return el(
        'dl.facts',
        {},
        pair(
            'Records',
            count(audit.records),
            audit.durable < audit.records
                ? `, ${count(audit.records - audit.durable)} not on disk yet`
                : ', all on disk',
        ),
        pair('Size', audit.bytes === null ? null : bytes(audit.bytes)),
        pair(
            'Checkpoint',
            checkpoint
                ? [`of ${count(checkpoint.size)} records, `, timeElement(checkpoint.at, ago(checkpoint.at))]
                : 'none was signed yet',
        ),
        pair(
            'Witnesses',
            witnesses > 0
                ? count(witnesses)
                : 'none: add them under [[audit.witness]], so that others can tell if the log is rewritten',
        ),
        pair(
            'Search index',
            audit.index_lag > 0
                ? `${count(audit.index_lag)} records behind`
                : audit.index_lag === 0
                  ? 'up to date'
                  : null,
        ),
    );
}

function poolFacts(pool) {
    const use = (one) =>
        `${count(one.busy)} busy, ${count(one.idle)} idle of at most ${count(one.size + one.max_overflow)}`;
    return [
        el(
            'dl.facts',
            {},
            pair('Backend', pool.backend),
            pair(
                'Connections',
                badge(pool.healthy ? 'ok' : 'failed', pool.healthy ? 'healthy' : 'faulty'),
                ` ${use(pool)}`,
                pool.fault ? `: ${pool.fault}` : '',
            ),
            pair(
                'Load',
                badge(pool.alert.state === 'ok' ? 'ok' : 'warning', pool.alert.state),
                el('span.quiet', {}, ' since ', timeElement(pool.alert.since)),
            ),
            pair(
                'Waiting',
                `${count(pool.waiting)} callers; waits p50 ${quantity(pool.waits.p50_ms, 'ms')}, p99 ${quantity(pool.waits.p99_ms, 'ms')}`,
            ),
            pair('Failures', `${count(pool.failed.connect)} connects, ${count(pool.failed.timeout)} timeouts`),
            pair(
                'Last error',
                pool.last_error
                    ? (pool.last_error.message ?? String(pool.last_error.cause ?? JSON.stringify(pool.last_error)))
                    : null,
            ),
        ),
        pool.replicas.length > 0
            ? el(
                  'div',
                  {},
                  el('h4', {}, 'Replicas'),
                  el(
                      'ul.plain-list',
                      {},
                      pool.replicas.map((replica) =>
                          el(
                              'li',
                              {},
                              badge(replica.healthy ? 'ok' : 'failed', replica.name),
                              ` ${quantity(replica.lag_ms, 'ms')} behind, ${use(replica)}`,
                              replica.fault ? `: ${replica.fault}` : '',
                          ),
                      ),
                  ),
              )
            : null,
    ];
}

function cacheFacts({ overall, tiers, follower }) {
    const rows = Object.entries(tiers).filter(([, tier]) => tier.enabled);
    const off = Object.entries(tiers)
        .filter(([, tier]) => !tier.enabled)
        .map(([name]) => name.toUpperCase());
    return [
        el(
            'table',
            {},
            el(
                'thead',
                {},
                el(
                    'tr',
                    {},
                    ['Tier', 'Hit rate', 'Entries', 'Memory'].map((title, at) =>
                        el(at > 0 ? 'th.number' : 'th', { scope: 'col' }, title),
                    ),
                ),
            ),
            el(
                'tbody',
                {},
                rows.map(([name, tier]) =>
                    el(
                        'tr',
                        {},
                        el('th', { scope: 'row' }, name.toUpperCase()),
                        el('td.number', {}, percent(tier.window.hit_rate)),
                        el(
                            'td.number',
                            {},
                            tier.entries === undefined ? '–' : `${count(tier.entries)} / ${count(tier.capacity)}`,
                        ),
                        el('td.number', {}, bytes(tier.bytes)),
                    ),
                ),
                el(
                    'tr',
                    {},
                    el('th', { scope: 'row' }, 'Overall'),
                    el('td.number', {}, percent(overall.window.hit_rate)),
                    el('td.number.quiet', { colspan: '2' }, `target ≥ ${percent(overall.target)}`),
                ),
            ),
        ),
        off.length > 0 ? el('p.quiet', {}, `${off.join(' and ')} off.`) : null,
        follower?.fault ? el('p.fault', {}, `✕ Changes of other nodes: ${follower.fault}`) : null,
    ];
}

/** `hit_rate_l1` → `Hit rate L1` */
function figureName(name) {
    const spoken = words(name)
        .replace(/\bl([123])\b/, 'L$1')
        .replace(/^cpu$/, 'CPU')
        .replace('per s', 'per second');
    return spoken[0].toUpperCase() + spoken.slice(1);
}

function figureTable(rows) {
    const column = (title, isNumber) => el(isNumber ? 'th.number' : 'th', { scope: 'col' }, title);
    return el(
        'div.panel.flush',
        {},
        el(
            'div.scroll',
            { tabindex: '0', role: 'region', 'aria-label': 'Key figures' },
            el(
                'table',
                {},
                el(
                    'thead',
                    {},
                    el('tr', {}, column('Figure'), column('Value', true), column('Over'), column('Target')),
                ),
                rows,
            ),
        ),
    );
}

function figureRows() {
    const figures = live.performance?.kpis ?? [];
    if (figures.length === 0) return el('tr', {}, el('td.quiet', { colspan: '4' }, 'Nothing was measured yet.'));
    return figures.map((figure) =>
        el(
            'tr',
            {},
            el('th', { scope: 'row' }, figureName(figure.name)),
            el('td.number', {}, quantity(figure.value, figure.unit)),
            el('td', {}, figure.window_s === null ? 'now' : duration(figure.window_s)),
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
