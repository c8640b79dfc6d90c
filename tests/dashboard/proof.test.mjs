// The verifier of the dashboard accepts what was logged, and refuses every kind of tampering in words.
// Run with Node 18 or newer: node --test tests/dashboard/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkpoint, consistency, logKey, path, proof, root } from './testlog.mjs';
import { isConsistent, rootOfInclusion, leafHash, equal } from '../../src/http/dashboard/assets/merkle.js';
import { checkSignature, parseKey, parseNote } from '../../src/http/dashboard/assets/note.js';
import {
  FAILED,
  NOT_CHECKED,
  OK,
  parseProof,
  verifyConsistency,
  verifyEntry,
} from '../../src/http/dashboard/assets/proof.js';

const ORIGIN = 'acgs.example/node-1';
const NOT_LOGGED = /This record is not the one that was logged/;

const records = Array.from({ length: 21 }, (_, n) =>
  Buffer.from(JSON.stringify({ v: 1, id: `record-${n}`, kind: 'decision', decision: n % 2 === 0 })),
);
const key = logKey(ORIGIN);
const note = checkpoint(ORIGIN, records, key);

function verify(index, changes = {}) {
  return verifyEntry({
    index,
    bytes: records[index],
    proof: proof(index, records, note),
    origin: ORIGIN,
    key: key.vkey,
    ...changes,
  });
}

const replaced = (list, at, value) => list.map((item, n) => (n === at ? value : item));
const step = (result, title) => result.steps.find((found) => found.title === title);

test('every record of a log is verified up to the signature', async () => {
  for (const index of records.keys()) {
    const result = await verify(index);
    assert.equal(result.verdict, OK, `record ${index}`);
    assert.ok(result.steps.every(({ state }) => state === OK));
    assert.match(result.summary, /^This is the record that was logged: it is in the log of 21 entries/);
  }
});

test('a path leads to the root at every size, and to no other at a wrong place', async () => {
  for (let size = 1; size <= 20; size += 1) {
    const log = records.slice(0, size);
    for (let index = 0; index < size; index += 1) {
      const leaf = await leafHash(log[index]);
      const climbed = await rootOfInclusion(leaf, BigInt(index), BigInt(size), path(index, log));
      assert.ok(equal(climbed.root, root(log)), `${index} of ${size}`);
      const elsewhere = await rootOfInclusion(leaf, BigInt((index + 1) % size), BigInt(size), path(index, log));
      if (size > 1) assert.ok(elsewhere === null || !equal(elsewhere.root, root(log)), `${index} of ${size} elsewhere`);
    }
  }
});

test('a changed record is not the one that was logged', async () => {
  const changed = Buffer.from(records[4].toString().replace('true', 'false'));
  const result = await verify(4, { bytes: changed });
  assert.equal(result.verdict, FAILED);
  assert.match(result.summary, NOT_LOGGED);
  assert.equal(step(result, 'Path to the root').state, FAILED);
});

test('a record with one byte more, or one bit less, is not the one that was logged', async () => {
  const longer = Buffer.concat([records[4], Buffer.from(' ')]);
  const flipped = Buffer.from(records[4]);
  flipped[10] ^= 1;
  for (const bytes of [longer, flipped, Buffer.alloc(0), records[5]])
    assert.match((await verify(4, { bytes })).summary, NOT_LOGGED);
});

test('changed, missing and additional hashes of a path are refused', async () => {
  const good = proof(6, records, note);
  const lines = good.split('\n');
  const other = Buffer.alloc(32, 7).toString('base64');
  const swapped = [...lines];
  [swapped[2], swapped[3]] = [swapped[3], swapped[2]];
  const tampered = {
    changed: replaced(lines, 2, other),
    missing: [...lines.slice(0, 2), ...lines.slice(3)],
    additional: [...lines.slice(0, 2), other, ...lines.slice(2)],
    swapped,
  };
  for (const [name, changed] of Object.entries(tampered)) {
    const result = await verify(6, { proof: changed.join('\n') });
    assert.equal(result.verdict, FAILED, name);
    assert.match(result.summary, NOT_LOGGED, name);
  }
});

test('the proof of another record is refused', async () => {
  const result = await verify(6, { proof: proof(7, records, note) });
  assert.match(result.summary, /The proof belongs to another record/);
  const renumbered = await verify(6, { proof: proof(7, records, note).replace('index 7', 'index 6') });
  assert.match(renumbered.summary, NOT_LOGGED);
});

test('the proof of another log is refused', async () => {
  const foreign = checkpoint('acgs.example/node-2', records, logKey('acgs.example/node-2'));
  assert.match((await verify(6, { proof: proof(6, records, foreign) })).summary, /The proof belongs to another log/);
});

test('a checkpoint with another root or size is refused', async () => {
  const rewritten = checkpoint(ORIGIN, replaced(records, 3, Buffer.from('{}')), key);
  assert.match((await verify(6, { proof: proof(6, records, rewritten) })).summary, NOT_LOGGED);
  const smaller = note.replace('\n21\n', '\n5\n');
  assert.match((await verify(6, { proof: proof(6, records, smaller) })).summary, NOT_LOGGED);
});

test('a checkpoint that another key signed is refused', async () => {
  const thief = logKey(ORIGIN);
  const forged = checkpoint(ORIGIN, records, thief);
  const result = await verify(6, { proof: proof(6, records, forged) });
  assert.equal(result.verdict, FAILED);
  assert.match(result.summary, /was not signed by the key of the log/);
  assert.match(step(result, 'Signature of the checkpoint').detail, /^it is not signed by/);
});

test('a signature over another text is refused', async () => {
  const other = checkpoint(ORIGIN, records.slice(0, 9), key);
  const line = other.slice(other.lastIndexOf('\n\n') + 2);
  const forged = note.slice(0, note.lastIndexOf('\n\n') + 2) + line;
  const result = await verify(6, { proof: proof(6, records, forged) });
  assert.match(step(result, 'Signature of the checkpoint').detail, /is not over this checkpoint$/);
  assert.equal(result.verdict, FAILED);
});

test('without a key the signature is not checked, and that is said', async () => {
  for (const [given, detail] of [
    [null, /no public key/],
    ['nonsense', /not a public key/],
    [key.vkey.slice(0, -3), /not a public key/],
  ]) {
    const result = await verify(6, { key: given });
    assert.equal(result.verdict, OK);
    assert.match(result.summary, /The signature of that log was not checked/);
    assert.equal(step(result, 'Signature of the checkpoint').state, NOT_CHECKED);
    assert.match(step(result, 'Signature of the checkpoint').detail, detail);
  }
});

test('a second signature, such as of a witness or a former key, does not disturb', async () => {
  const both = checkpoint(ORIGIN, records, logKey('witness.example'), key);
  assert.equal((await verify(6, { proof: proof(6, records, both) })).verdict, OK);
});

test('what is no proof proves nothing', async () => {
  const good = proof(6, records, note);
  const malformed = [
    '',
    'x',
    good.replace('@v1', '@v2'),
    good.replace('index 6', 'index 06'),
    good.replace('index 6', 'index -6'),
    good.replace('index', 'at'),
    good.replace('\n\n', '\n'),
    good.replace('\u2014', '-'),
    good.replace('=', ''),
    good.slice(0, good.lastIndexOf('\n\n') + 1),
  ];
  for (const text of malformed) {
    const result = await verify(6, { proof: text });
    assert.equal(result.verdict, FAILED, JSON.stringify(text.slice(0, 60)));
    assert.match(result.summary, /nothing shows that this record was logged/);
  }
  const withExtra = good.replace('index', 'extra AAAA\nindex');
  assert.equal(parseProof(withExtra).index, 6n);
});

test('the example of C2SP signed-note verifies', async () => {
  const example = await parseKey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
  const text =
    'This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  assert.equal(await checkSignature(parseNote(text), example), 'valid');
  assert.equal(await checkSignature(parseNote(text.replace('an example', 'no example')), example), 'invalid');
});

test('a key with a wrong id, type or length is refused', async () => {
  const [, name, id, material] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(key.vkey);
  const otherId = id === '00000000' ? '11111111' : '00000000';
  for (const text of ['', 'a+b', `${name}+${otherId}+${material}`, `${name}+${id}+AAAA`, `other+${id}+${material}`]) {
    await assert.rejects(parseKey(text), /key/, text);
  }
});

test('each log continues each of its beginnings, and no other', async () => {
  for (let size = 1; size <= 20; size += 1) {
    const log = records.slice(0, size);
    for (let from = 0; from <= size; from += 1) {
      const earlier = { size: BigInt(from), root: root(log.slice(0, from)) };
      const later = { size: BigInt(size), root: root(log) };
      const hashes = from === 0 ? [] : consistency(from, log);
      assert.ok(await isConsistent(earlier, later, hashes), `${from} to ${size}`);
      if (from === 0) continue;
      const rewritten = { ...earlier, root: root(replaced(log.slice(0, from), 0, Buffer.from('changed'))) };
      assert.ok(!(await isConsistent(rewritten, later, hashes)), `${from} to ${size}, rewritten`);
      if (hashes.length > 0)
        assert.ok(!(await isConsistent(earlier, later, hashes.slice(1))), `${from} to ${size}, shortened`);
    }
  }
});

test('a rewritten log is told from one that grew', async () => {
  const kept = { origin: ORIGIN, size: 9n, root: root(records.slice(0, 9)) };
  const now = { origin: ORIGIN, size: 21n, root: root(records) };
  const hashes = consistency(9, records).map((hash) => hash.toString('base64'));
  assert.equal((await verifyConsistency(kept, now, hashes)).state, OK);
  const rewritten = await verifyConsistency({ ...kept, root: root(records.slice(1, 10)) }, now, hashes);
  assert.equal(rewritten.state, FAILED);
  assert.match(rewritten.detail, /it was rewritten$/);
  assert.equal((await verifyConsistency(kept, now, ['no hash', ...hashes])).state, FAILED);
});
