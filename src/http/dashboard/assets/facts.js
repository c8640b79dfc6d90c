// The state of the parts of the service, as lists of facts.

import { ageing, badge, el, empty, pair, prose, table } from './dom.js';
import { ago, bytes, count, duration, percent, quantity, timeElement } from './format.js';
import { live } from './live.js';

/** The node, its version and its checks. */
export function nodeFacts() {
  const { status } = live;
  if (!status) return empty('The state has not been read yet.');
  return el(
    'dl.facts',
    {},
    pair('Node', status.node),
    pair('Version', status.version),
    pair(
      'Up for',
      ageing(() => duration(Math.max(0, (Date.now() - new Date(status.started_at).getTime()) / 1000))),
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

/** What the log takes on disk, what it grows by, and for how long there is space. */
function diskFacts(disk) {
  if (!disk) return null;
  const { archives, tiles, segments, index } = disk;
  const share = disk.index_bytes_per_record === null ? '' : `, ${quantity(disk.index_bytes_per_record, '')} in the index`;
  return [
    pair('Archive', `${bytes(archives)} of ${count(disk.archived)} records, ${bytes(tiles)} of tiles`),
    pair('Segments', `${bytes(segments)} in use or prepared`),
    pair('Index', index === null ? null : bytes(index)),
    pair(
      'A record',
      disk.bytes_per_record === null
        ? prose('nothing is archived yet')
        : `${quantity(disk.bytes_per_record, '')} bytes at rest${share}`,
    ),
    pair('Growth', disk.bytes_per_day === null ? null : `${bytes(disk.bytes_per_day)} a day`),
    pair('Space for', disk.days_left === null ? null : `${count(Math.floor(disk.days_left))} days at this growth`),
  ];
}

/** The audit log, its checkpoint, witnesses and search index. */
export function auditFacts() {
  const audit = live.status?.audit;
  if (!audit) return empty('The state has not been read yet.');
  const { checkpoint, witnesses } = audit;
  return el(
    'dl.facts',
    {},
    pair(
      'Records',
      count(audit.records),
      audit.queued > 0 ? ` on disk, ${count(audit.queued)} in the queue` : ' on disk',
    ),
    pair('Size', audit.bytes === null ? null : bytes(audit.bytes)),
    diskFacts(audit.disk),
    pair(
      'Checkpoint',
      checkpoint
        ? [
            `of ${count(checkpoint.size)} records`,
            checkpoint.at
              ? [
                  ', ',
                  el(
                    'span',
                    { title: checkpoint.at },
                    ageing(() => ago(checkpoint.at)),
                  ),
                ]
              : '',
          ]
        : 'none was signed yet',
    ),
    pair(
      'Witnesses',
      witnesses > 0
        ? [
            count(witnesses),
            audit.cosigned ? `, cosigned up to ${count(audit.cosigned)} records` : ', nothing is cosigned yet',
          ]
        : prose('none: add them under `[[audit.witness]]`, so that others can tell if the log is rewritten'),
    ),
    pair(
      'Search index',
      audit.index_lag > 0 ? `${quantity(audit.index_lag, 'records')} behind` : audit.index_lag === 0 ? 'up to date' : null,
    ),
  );
}

/** The connections to the database and its replicas, of an answer of `/v1/pool`. */
export function poolFacts(pool) {
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
      pair('Last error', pool.last_error),
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

/** The tiers of the cache, of an answer of `/v1/cache`. */
export function cacheFacts({ overall, tiers, follower }) {
  const rows = Object.entries(tiers).filter(([, tier]) => tier.enabled);
  const off = Object.entries(tiers)
    .filter(([, tier]) => !tier.enabled)
    .map(([name]) => name.toUpperCase());
  return [
    table(
      ['Tier', { number: 'Hit rate' }, { number: 'Entries' }, { number: 'Memory' }],
      [
        rows.map(([name, tier]) =>
          el(
            'tr',
            {},
            el('th', { scope: 'row' }, name.toUpperCase()),
            el('td.number', {}, percent(tier.window.hit_rate)),
            el('td.number', {}, tier.entries === undefined ? '–' : `${count(tier.entries)} / ${count(tier.capacity)}`),
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
      ],
    ),
    off.length > 0 ? el('p.quiet', {}, `${off.join(' and ')} off.`) : null,
    follower?.fault ? el('p.fault', {}, `✕ Changes of other nodes: ${follower.fault}`) : null,
  ];
}
