// Signed notes, verifier keys and checkpoints, as C2SP signed-note and tlog-checkpoint define them.

import { base64, digest, hex } from './merkle.js';

const NOTE_SIGNATURE = 0x01;

/** `{text, signatures: [{name, id, bytes}]}`; throws an `Error` if it is not a note. */
export function parseNote(note) {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw new Error('the checkpoint has no signatures');
  const lines = note.slice(end + 2, -1).split('\n');
  const signatures = lines.map((line) => {
    const parts = /^\u2014 ([^\s+]+) (\S+)$/.exec(line);
    const bytes = parts && base64(parts[2]);
    if (!bytes || bytes.length < 5) throw new Error('a signature line of the checkpoint is malformed');
    return { name: parts[1], id: hex(bytes.slice(0, 4)), bytes: bytes.slice(4) };
  });
  return { text: note.slice(0, end + 1), signatures };
}

/** `{origin, size, root}` of a note's text; throws an `Error` if it is not a checkpoint. */
export function parseCheckpoint(text) {
  const [origin, size, root] = text.split('\n');
  const bytes = base64(root ?? '');
  if (!origin || !/^(0|[1-9][0-9]*)$/.test(size ?? '') || bytes?.length !== 32) {
    throw new Error('it is not a checkpoint of a log');
  }
  return { origin, size: BigInt(size), root: bytes };
}

/** `{name, id, publicKey}` of the output of `acgs audit vkey`; throws an `Error` if it is not such a key. */
export async function parseKey(text) {
  const parts = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim());
  const material = parts && base64(parts[3]);
  if (!material || material.length !== 33 || material[0] !== NOTE_SIGNATURE) {
    throw new Error('this is not a public key of a log as `acgs audit vkey` prints it');
  }
  const [, name, id] = parts;
  const named = new TextEncoder().encode(`${name}\n`);
  const computed = hex(await digest(Uint8Array.of(...named, ...material))).slice(0, 8);
  if (computed !== id) throw new Error('the key was copied incompletely: its id does not belong to its bytes');
  return { name, id, publicKey: material.slice(1) };
}

/** `valid`, `invalid`, `absent` (the key did not sign it), or `unsupported` (this browser has no Ed25519). */
export async function checkSignature(note, key) {
  const signature = note.signatures.find(({ name, id }) => name === key.name && id === key.id);
  if (!signature) return 'absent';
  let imported;
  try {
    imported = await crypto.subtle.importKey('raw', key.publicKey, { name: 'Ed25519' }, false, ['verify']);
  } catch {
    return 'unsupported';
  }
  const text = new TextEncoder().encode(note.text);
  return (await crypto.subtle.verify({ name: 'Ed25519' }, imported, signature.bytes, text)) ? 'valid' : 'invalid';
}
