// Records in parts, and records that share members, are read whole only if every digest fits.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sha256 } from './testlog.mjs';
import { Mismatch, wholeRecord } from '../../src/http/dashboard/assets/whole_record.js';

const hex = (text) => sha256(text).toString('hex');
const entries = (...values) =>
  values.map((value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const reader = (log) => async (index) => log[index];

const text = JSON.stringify({ v: 1, id: 'large', kind: 'decision', context: { padding: 'äöü'.repeat(20) } });
const inParts = () =>
  entries(
    { v: 2, kind: 'part', part: 0, parts: 2, text: text.slice(0, 30) },
    { v: 2, kind: 'part', part: 1, parts: 2, text: text.slice(30) },
    { v: 2, id: 'large', kind: 'decision', whole: { bytes: Buffer.byteLength(text), parts: 2, sha256: hex(text) } },
  );

const value = '{"numbers":[1.0,1e2],"a":"b"}';
const sharing = (digest = hex(value)) =>
  entries(
    `{"v":2,"id":"s","kind":"shared","caller":"acgs","member":"context","value":${value}}`,
    { v: 1, id: 'between', kind: 'decision' },
    { v: 2, id: 'item', kind: 'decision', context: null, shared: { context: { back: 2, sha256: digest } } },
  );

test('a record of one entry is that entry', async () => {
  const log = entries({ v: 1, id: 'small' });
  const { record, entry, checked } = await wholeRecord(0, reader(log));
  assert.deepEqual([record, entry, checked], [{ v: 1, id: 'small' }, log[0], []]);
});

test('a record in parts is joined, and its digest compared', async () => {
  const { record, checked } = await wholeRecord(2, reader(inParts()));
  assert.deepEqual(record, JSON.parse(text));
  assert.deepEqual(checked, ['the text of its 2 parts']);
});

test('a changed part is noticed', async () => {
  const log = inParts();
  log[1] = Buffer.from(log[1].toString().replace('ä', 'a'));
  await assert.rejects(
    wholeRecord(2, reader(log)),
    (error) => error instanceof Mismatch && /parts/.test(error.message),
  );
});

test('a shared member is put in its place, and its digest compared', async () => {
  const { record, checked } = await wholeRecord(2, reader(sharing()));
  assert.deepEqual(record, { v: 1, id: 'item', kind: 'decision', context: { numbers: [1, 100], a: 'b' } });
  assert.equal(checked.length, 1);
});

test('a changed shared member is noticed', async () => {
  await assert.rejects(wholeRecord(2, reader(sharing(hex('other')))), Mismatch);
  const log = sharing();
  log[0] = Buffer.from(log[0].toString().replace('1e2', '100'));
  await assert.rejects(wholeRecord(2, reader(log)), Mismatch);
});
