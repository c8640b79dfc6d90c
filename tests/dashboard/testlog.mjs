// A log made for the tests, word by word after RFC 6962 and the formats of C2SP, with Node's own cryptography. It shares
// no code with what is tested.

import { createHash, generateKeyPairSync, sign, webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;

export const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const leaf = (record) => sha256(Buffer.of(0), record);
const node = (left, right) => sha256(Buffer.of(1), left, right);

/** The largest power of two less than `size`. */
function split(size) {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

/** RFC 6962, section 2.1: the root of a list of records. */
export function root(records) {
  if (records.length === 0) return sha256();
  if (records.length === 1) return leaf(records[0]);
  const at = split(records.length);
  return node(root(records.slice(0, at)), root(records.slice(at)));
}

/** RFC 6962, section 2.1.1: the path of a record. */
export function path(index, records) {
  if (records.length <= 1) return [];
  const at = split(records.length);
  const [left, right] = [records.slice(0, at), records.slice(at)];
  return index < at ? [...path(index, left), root(right)] : [...path(index - at, right), root(left)];
}

/** RFC 6962, section 2.1.2: the proof that a list continues its first `from` records. */
export function consistency(from, records, isWhole = true) {
  if (from === records.length) return isWhole ? [] : [root(records)];
  const at = split(records.length);
  const [left, right] = [records.slice(0, at), records.slice(at)];
  return from <= at
    ? [...consistency(from, left, isWhole), root(right)]
    : [...consistency(from - at, right, false), root(left)];
}

/** A key of a log: its public half as `acgs audit vkey` prints it, and its signature lines. */
export function logKey(name) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const material = Buffer.concat([Buffer.of(1), raw]);
  const id = sha256(`${name}\n`, material).subarray(0, 4);
  return {
    vkey: `${name}+${id.toString('hex')}+${material.toString('base64')}`,
    line: (text) =>
      `\u2014 ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]).toString('base64')}\n`,
  };
}

/** The signed checkpoint of these records. */
export function checkpoint(origin, records, ...keys) {
  const text = `${origin}\n${records.length}\n${root(records).toString('base64')}\n`;
  return `${text}\n${keys.map((key) => key.line(text)).join('')}`;
}

/** The inclusion proof of a record, as a C2SP tlog-proof. */
export function proof(index, records, note) {
  const hashes = path(index, records).map((hash) => `${hash.toString('base64')}\n`);
  return `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes.join('')}\n${note}`;
}
