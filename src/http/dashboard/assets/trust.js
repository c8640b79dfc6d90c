// The public keys of logs, and their newest checkpoints that this browser saw, by which it verifies them.

import { base64 } from './merkle.js';

const KEY = 'acgs.key.';
const CHECKPOINT = 'acgs.checkpoint.';

function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function write(name, text) {
  try {
    if (text) localStorage.setItem(name, text);
    else localStorage.removeItem(name);
  } catch {
    // Without storage nothing is kept beyond this page.
  }
}

/** The public key of a log, as its administrator entered it. */
export function keyOf(origin) {
  return read(KEY + origin);
}

export function keepKey(origin, text) {
  write(KEY + origin, text);
}

/** The checkpoint that was kept of a log: `{origin, size, root, at}`, or `null`. */
export function checkpointOf(origin) {
  try {
    const { size, root, at } = JSON.parse(read(CHECKPOINT + origin));
    const bytes = base64(root);
    return bytes?.length === 32 ? { origin, size: BigInt(size), root: bytes, at } : null;
  } catch {
    return null;
  }
}

export function keepCheckpoint({ origin, size, root }) {
  const text = btoa(String.fromCharCode(...root));
  write(CHECKPOINT + origin, JSON.stringify({ size: String(size), root: text, at: new Date().toISOString() }));
}
