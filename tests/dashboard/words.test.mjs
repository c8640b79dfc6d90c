// Numbers, times and names as the dashboard writes them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ago,
  bytes,
  duration,
  entityName,
  entityOf,
  percent,
  quantity,
} from '../../src/http/dashboard/assets/format.js';

/** A number as the language of this process has it, like that of a browser. */
const n = (value) => value.toLocaleString(undefined, { maximumFractionDigits: 3 });

test('quantities have units, and what was not measured is a dash', () => {
  const cases = [
    [quantity(1.934, 'ms'), `${n(1.93)} ms`],
    [quantity(2500, 'ms'), `${n(2.5)} s`],
    [quantity(1_234_567, 'bytes'), `${n(1.23)} MB`],
    [quantity(null, 'ms'), '–'],
    [quantity(0, '/s'), '0 per second'],
    [quantity(1, '/s'), '1 per second'],
    [quantity(1, '1/min'), '1 per minute'],
    [quantity(33.333, '1/s'), `${n(33.3)} per second`],
    [quantity(1, 'records'), '1 record'],
    [quantity(2, 'records'), '2 records'],
    [quantity(412, 's'), '6 min 52 s'],
    [bytes(999), '999 B'],
    [duration(90_000), '1 d 1 h'],
    [duration(0.7), `${n(0.7)} s`],
  ];
  for (const [shown, expected] of cases) assert.equal(shown, expected);
});

test('a share below the whole is never rounded up to it', () => {
  assert.equal(percent(100), '100 %');
  assert.equal(percent(99.9999), `${n(99.999)} %`);
  assert.equal(percent(85.04), '85 %');
  assert.equal(percent(null), '–');
});

test('times in the past are said as such', () => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  assert.equal(ago('2026-11-30T11:58:30Z', now), '1 min 30 s ago');
  assert.equal(ago('2026-11-30T12:00:00Z', now), 'now');
  assert.equal(ago('nonsense', now), '–');
});

test('an entity without a type or an id is shown as such', () => {
  assert.equal(entityName({ type: 'Agent', id: 'a' }), 'Agent::a');
  assert.equal(entityName(null), '–');
});

test('a name of an entity has a type and an id', () => {
  assert.deepEqual(entityOf('Agent::"a"'), { type: 'Agent', id: 'a' });
  assert.deepEqual(entityOf('Agent::a'), { type: 'Agent', id: 'a' });
  assert.deepEqual(entityOf('a'), { id: 'a' });
});
