// What the page says about alerts, events and the search index, in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './page.mjs';

const { firingInWords } = await load('head.js');
const { lagText } = await load('index_lag.js');
const { figureTable } = await load('bench.js');
const { callerName, eventSentence } = await load('event_words.js');
const { merged } = await load('changes.js');
const { factText } = await load('record.js');

test('alerts that fire are counted by severity', () => {
  const alert = (state, severity) => ({ state, severity });
  assert.equal(firingInWords([alert('inactive', 'critical'), alert('pending', 'warning')]), '');
  assert.equal(firingInWords([alert('firing', 'critical')]), '1 critical alert fires.');
  assert.equal(firingInWords([alert('firing', 'warning'), alert('firing', 'warning')]), '2 warnings fire.');
  const both = [alert('firing', 'critical'), alert('firing', 'warning'), alert('inactive', 'warning')];
  assert.equal(firingInWords(both), '1 critical alert and 1 warning fire.');
});

test('a search index that is behind is told of from five seconds, or a thousand records, on', () => {
  assert.equal(lagText(0, 40), '');
  assert.equal(lagText(160, 40), '');
  assert.match(lagText(2400, 40), /about 1 min behind, .*records/);
  assert.match(lagText(240, 40), /about 6 s behind/);
  assert.equal(lagText(1000, null), '');
  assert.match(lagText(1001, null), /^The search is .*1.?001 records/);
  assert.match(lagText(1001, 0), /^The search is .*1.?001 records/);
});

test('events are told with what they were about', () => {
  for (const [record, expected] of [
    [{ kind: 'entity', event: 'written', resource: { type: 'Team', id: 'red' } }, 'wrote Team::red'],
    [
      { kind: 'entity', event: 'written', resource: { type: 'User', id: 'o' }, entity: { parents: [{ type: 'T', id: 'a' }] } },
      'wrote User::o, in T::a',
    ],
    [{ kind: 'auth', event: 'client_added', client: '01a2', name: 'release-bot' }, 'added the client release-bot'],
    [{ kind: 'auth', event: 'user_removed', user: 'olga' }, 'removed the user olga'],
    [
      { kind: 'alert', event: 'fired', alert: 'latency_p99', severity: 'critical', condition: '> 5 ms', value: 16 },
      'latency_p99 fired (critical: > 5 ms, at 16)',
    ],
    [{ kind: 'alert', event: 'resolved', alert: 'latency_p99', value: null }, 'latency_p99 ended'],
    [
      { kind: 'auth', event: 'login_refused', user: 'olga', address: '127.0.0.1', why: 'the password is wrong' },
      'was refused a login as olga from 127.0.0.1: the password is wrong',
    ],
    [
      { kind: 'auth', event: 'credential_refused', address: '::1', method: 'GET', path: '/v1/status', left_out: 3 },
      'was refused for its credential from ::1 at GET /v1/status; 3 more like it were not recorded',
    ],
  ])
    assert.equal(eventSentence(record), expected);
});

test('a caller without a credential, and the daemon itself, are told apart from others', () => {
  assert.equal(callerName('anonymous'), 'anonymous (not authenticated)');
  assert.equal(callerName('acgs'), 'acgs (the daemon itself)');
  assert.equal(callerName('user:olga'), 'user:olga');
});

test('the figures of a benchmark are told with units, targets and outcomes', () => {
  const figure = (name, value, unit, target, outcome) => ({ name, value, unit, target, outcome });
  const figures = [figure('hit_rate', null, '%', '> 85 %', 'missed'), figure('memory', 2, 'MB', '< 2000 MB', 'met')];
  const tests = [
    { test: 'load', rate_per_s: 150, duration_s: 30, conclusion: 'missed', figures },
    { test: 'regression', rate_per_s: 150, duration_s: 90, conclusion: 'passed', figures: [figures[1]] },
  ];
  const { names, rows } = figureTable(tests);
  assert.deepEqual(names, ['hit_rate', 'memory']);
  assert.deepEqual(
    rows.map(({ test, cells }) => [test, ...cells.map((cell) => cell && [cell.value, cell.outcome])]),
    [
      ['load: 150 per second for 30 s', ['–', 'missed'], ['2 MB', 'met']],
      ['regression: 150 per second for 1 min 30 s', null, ['2 MB', 'met']],
    ],
  );
});

test('events that differ in nothing but their time are one line, with the newest', () => {
  const refused = (id, address) => ({ record: { id, caller: 'anonymous', kind: 'auth', event: 'login_refused', address } });
  const lines = merged([refused('3', '::1'), refused('2', '127.0.0.1'), refused('1', '::1')]);
  assert.deepEqual(
    lines.map(({ item, times }) => [item.record.id, times]),
    [
      ['3', 2],
      ['2', 1],
    ],
  );
});

test('facts are told in one line, entities by their names', () => {
  for (const [value, text] of [
    [{ type: 'User', id: 'olga' }, 'User::olga'],
    [{ __entity: { type: 'User', id: 'olga' } }, 'User::olga'],
    [{ type: 'x' }, '{"type":"x"}'],
    ['staging', 'staging'],
    [true, 'true'],
    [null, 'null'],
    [8, '8'],
  ])
    assert.equal(factText(value), text);
  assert.equal(factText('x'.repeat(300)).length, 202);
});
