// A record is verified step by step: only content and proofs can fail; a request that fails leaves its step unchecked.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { cut, json, load, problem, serve } from './page.mjs';
import { checkpoint, consistency, logKey, proof, root } from './testlog.mjs';

const { readVerified } = await load('verification.js');
const { FAILED, NOT_CHECKED, OK } = await load('proof.js');

const ORIGIN = 'acgs.example/node-1';
const INDEX = 4;
const records = Array.from({ length: 21 }, (_, n) => Buffer.from(JSON.stringify({ v: 1, id: `record-${n}` })));
const note = checkpoint(ORIGIN, records, logKey(ORIGIN));
const keep = (size, hash) =>
  localStorage.setItem(
    `acgs.checkpoint.${ORIGIN}`,
    JSON.stringify({ size: String(size), root: hash.toString('base64'), at: '2026-11-30T12:00:00Z' }),
  );

beforeEach(() => keep(9, root(records.slice(0, 9))));

/** Verifies the record; `answers` are those of routes that do not answer as an honest daemon does. */
function verified({ entry, proven, continued } = {}, listed) {
  serve((path) => {
    if (path.startsWith('v1/audit/consistency'))
      return continued?.() ?? json({ proof: consistency(9, records).map((hash) => hash.toString('base64')) });
    if (path.endsWith('/proof')) return proven?.() ?? new Response(proof(INDEX, records, note));
    return entry?.() ?? new Response(records[INDEX]);
  });
  return readVerified(INDEX, { id: `record-${INDEX}`, origin: ORIGIN, listed });
}

const state = ({ result }, title) => result.steps.find((step) => step.title.startsWith(title))?.state;

test('an honest daemon is believed', async () => {
  const outcome = await verified({}, JSON.parse(records[INDEX]));
  assert.equal(outcome.result.verdict, OK);
  assert.equal(state(outcome, 'Continuation'), OK);
  assert.equal(outcome.record.id, 'record-4');
});

test('a proof of continuation that cannot be had now says nothing about the log', async () => {
  const failures = [429, 503, 500, 401].map((status) => () => problem(status));
  for (const continued of [...failures, cut, () => Promise.reject(new TypeError('fetch failed'))]) {
    const outcome = await verified({ continued });
    assert.equal(state(outcome, 'Continuation'), NOT_CHECKED);
    assert.match(outcome.result.steps.at(-1).detail, /^it could not be checked now: /);
    assert.equal(outcome.result.verdict, OK);
  }
});

test('a log that does not have the kept size was rewritten', async () => {
  for (const status of [400, 404]) {
    const outcome = await verified({ continued: () => problem(status) });
    assert.equal(state(outcome, 'Continuation'), FAILED);
    assert.match(outcome.result.summary, /^The log was rewritten/);
  }
  for (const continued of [() => json({ proof: [] }), () => json({}), () => json({ proof: 'x' })])
    assert.equal((await verified({ continued })).result.verdict, FAILED);
});

test('without a proof, the record is shown as not verified', async () => {
  for (const proven of [() => problem(503), () => problem(404), cut]) {
    const outcome = await verified({ proven });
    assert.equal(outcome.record.id, 'record-4');
    assert.equal(outcome.result.verdict, NOT_CHECKED);
    assert.equal(state(outcome, 'Proof'), NOT_CHECKED);
    assert.match(outcome.result.summary, /^Not verified: /);
  }
});

test('without its entry, a record is not verified, and nothing was changed', async () => {
  for (const entry of [() => problem(503), cut]) {
    const { record, result } = await verified({ entry });
    assert.deepEqual([record, result.verdict, result.steps.length], [null, NOT_CHECKED, 1]);
  }
});

test('an entry that is no record was changed', async () => {
  for (const content of [
    Buffer.of(0xff, 0xfe),
    'nothing',
    '[]',
    'null',
    '{"id":"record-5"}',
    '{"whole":{"parts":-1}}',
  ]) {
    const outcome = await verified({ entry: () => new Response(content) });
    assert.equal(outcome.result.verdict, FAILED, String(content));
    assert.match(outcome.result.summary, /^This record is not the one that was logged/);
  }
});

test('a list that shows something else is told, but only a proof shows which of them was logged', async () => {
  const listed = { ...JSON.parse(records[INDEX]), decision: true };
  const proven = await verified({}, listed);
  assert.match(proven.result.summary, /Shown here is what was logged/);
  assert.equal(proven.result.isContentProven, true);
  const unproven = await verified({ proven: () => problem(503) }, listed);
  assert.equal(unproven.result.verdict, FAILED);
  assert.doesNotMatch(unproven.result.summary, /was logged/);
  assert.equal(unproven.result.isContentProven, false);
});
