// The searches behind lists and charts, and the questions that records and texts stand for.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { json, load, serve } from './page.mjs';

const { searchOf } = await load('filters.js');
const { SPANS } = await load('spans.js');
const { isChange, isRefusal, newestEvents } = await load('changes.js');
const { isDue } = await load('decisions.js');
const { pointsOf } = await load('denials.js');
const { questionOf } = await load('again.js');
const { questionIn } = await load('try.js');
const { append, live } = await load('live.js');
const { targetText } = await load('figures.js');

const search = (query) => {
  const found = searchOf(new URLSearchParams(query));
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null));
};

test('an entity is sought by its type and id, whatever its id contains', () => {
  for (const [name, expected] of [
    ['Agent::builder', { subject: 'builder', subject_type: 'Agent' }],
    ['Agent::"builder"', { subject: 'builder', subject_type: 'Agent' }],
    ['Ns::Agent::"a::b"', { subject: 'a::b', subject_type: 'Ns::Agent' }],
    ['Agent::spiffe://x::y', { subject: 'spiffe://x::y', subject_type: 'Agent' }],
    ['Agent::"a "quoted"\nname"', { subject: 'a "quoted"\nname', subject_type: 'Agent' }],
    ['builder', { subject: 'builder' }],
    ['spiffe://x::y', { subject: 'spiffe://x::y' }],
  ])
    assert.deepEqual(search({ subject: name }), expected, name);
});

test('each span of time is a search from its beginning', () => {
  const names = new Set(SPANS.map(([, name]) => name));
  assert.ok(names.has('Last 6 h') && names.size === SPANS.length);
  for (const [within] of SPANS) {
    const times = [Date.now(), Date.parse(search({ within }).from) + Number(within) * 1000, Date.now()];
    assert.deepEqual(
      [...times].sort((one, other) => one - other),
      times,
      within,
    );
  }
});

test('changes are looked for behind routine records, in at most ten pages', async () => {
  const page = (events, next) => json({ items: events.map((event) => ({ record: { event } })), next_cursor: next });
  const routine = Array(100).fill('granted');
  const pages = [page(routine, '1'), page(['refresh_repeated', 'credential_refused', 'user_added'], null)];
  let sent = serve(() => pages.shift());
  const found = await newestEvents({ kind: 'auth', isWanted: isChange }, '2026-11-30T12:00:00Z');
  assert.deepEqual([found.items.length, found.isMore, found.isCut, sent.length], [1, false, false, 2]);
  assert.match(sent[1].path, /cursor=1/);

  sent = serve(() => page(routine, 'next'));
  const none = await newestEvents({ kind: 'auth', isWanted: isChange }, '2026-11-30T12:00:00Z');
  assert.deepEqual([none.items.length, none.isCut, sent.length], [0, true, 10]);

  sent = serve(() => page(Array(30).fill('user_added'), 'next'));
  const many = await newestEvents({ kind: 'auth', isWanted: isChange }, '2026-11-30T12:00:00Z');
  assert.deepEqual([many.items.length, many.isMore, many.isCut, sent.length], [30, true, false, 1]);

  serve(() => page(['granted', 'login_refused', 'user_added', 'credential_refused'], null));
  const refused = await newestEvents({ kind: 'auth', isWanted: isRefusal }, '2026-11-30T12:00:00Z');
  assert.deepEqual(
    refused.items.map(({ record }) => record.event),
    ['login_refused', 'credential_refused'],
  );
});

test('decisions are asked for again if there may be new ones, and once a minute', () => {
  const asked = { here: 1_000_000, there: 5000 };
  const state = (permitted, changes = {}) => ({
    series: { at: [4900, 4990, 5001], permitted, denied: [0, null, 0] },
    connection: { isLive: true },
    status: { audit: { index_lag: 0 } },
    ...changes,
  });
  const soon = 1_005_000;
  assert.equal(isDue(asked, state([9, 0, 0]), soon), false, 'a decision before the overlap is known');
  assert.equal(isDue(asked, state([0, 0, 0.2]), soon), true);
  assert.equal(isDue(asked, state([0, 3, 0]), soon), true, 'it may have been indexed later');
  assert.equal(isDue(asked, state([0, 0, 0]), 1_060_000), true, 'other nodes may have made some');
  assert.equal(isDue(asked, state([0, 0, 0], { connection: { isLive: false } }), soon), true);
  assert.equal(isDue(asked, state([0, 0, 0], { status: { audit: { index_lag: 7 } } }), soon), true);
  assert.equal(isDue({ ...asked, there: null }, state([0, 0, 0]), soon), true);
});

test('an interval that was not examined has no count', () => {
  const answer = { since: '2026-11-30T12:00:00Z', interval_s: 60, counted_since: '2026-11-30T12:02:30Z' };
  const start = Date.parse(answer.since) / 1000;
  const [times, counts] = pointsOf([0, 0, 4, 5], answer);
  assert.deepEqual(times, [start, start + 60, start + 120, start + 180]);
  assert.deepEqual(counts, [null, null, 4, 5]);
  for (const examined of [null, undefined])
    assert.deepEqual(pointsOf([0, 1], { ...answer, counted_since: examined })[1], [0, 1]);
});

test('a question is asked again with the hashes that its caller claimed', () => {
  const record = { subject: { type: 'Agent', id: 'a' }, action: { name: 'b' }, resource: { type: 'Tool', id: 'c' } };
  assert.deepEqual(questionOf({ ...record, context: {}, decision: true }), { question: record, headers: {} });
  assert.deepEqual(questionOf({ ...record, context: { n: 1 }, claimed_in_header: 'h', claimed_in_context: 'c' }), {
    question: { ...record, context: { n: 1, constitutional_hash: 'c' } },
    headers: { 'X-Constitutional-Hash': 'h' },
  });
  for (const incomplete of [
    { request: 'sha256' },
    { omitted: [] },
    { claimed_in_header: null },
    { claimed_in_context: null },
    { claimed_in_header: 'hhhh… (130000 bytes, SHA-256 00)' },
  ])
    assert.equal(questionOf({ ...record, ...incomplete }), null, JSON.stringify(incomplete));
});

test('a text that is no question is told from one that is no JSON', () => {
  assert.deepEqual(questionIn('{"a":1}'), { question: { a: 1 } });
  for (const text of ['7', 'null', '[]', '"x"']) assert.match(questionIn(text).error, /must be a JSON object/, text);
  assert.match(questionIn('{"a":').error, /is not JSON/);
});

test('points are added in order, and a clock that was set back begins a new series', () => {
  live.series = { at: [] };
  append({ at: 100, a: 1 });
  append({ at: 101, a: 2, b: 3 });
  append({ at: 101, a: 9 });
  append({ at: 99.5, a: 9 });
  append({ at: 102, b: 4 });
  assert.deepEqual(live.series, { at: [100, 101, 102], a: [1, 2, null], b: [null, 3, 4] });
  append({ at: 1000.5, a: 5 });
  assert.deepEqual(live.series.at, [101, 102, 1000.5]);
  append({ at: 50, a: 6 });
  assert.deepEqual(live.series, { at: [50], a: [6] });
});

test('a target names its bound and whether it includes it', () => {
  const text = (target, unit) => targetText({ target, unit });
  assert.equal(text({ below: 90 }, '%'), '< 90 %');
  assert.equal(text({ max: 5 }, 'ms'), '≤ 5 ms');
  assert.equal(text({ min: 85 }, '%'), '≥ 85 %');
  assert.equal(targetText({ unit: 'ms' }), 'no target');
});
