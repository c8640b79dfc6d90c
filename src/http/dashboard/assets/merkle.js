// The Merkle tree of RFC 6962 in the browser: hashes of leaves and nodes, inclusion and consistency of RFC 9162.
// Hashes are `Uint8Array`s of 32 bytes; indexes and sizes are `BigInt`s, since a log may outgrow exact numbers.

async function sha256(...parts) {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

/** SHA-256 of bytes or of a text in UTF-8. */
export function digest(content) {
  return sha256(typeof content === 'string' ? new TextEncoder().encode(content) : content);
}

/** `SHA-256(0x00 ‖ record)` */
export function leafHash(record) {
  return sha256(Uint8Array.of(0), record);
}

/** `SHA-256(0x01 ‖ left ‖ right)` */
function nodeHash(left, right) {
  return sha256(Uint8Array.of(1), left, right);
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Strict base64 with padding; `null` for any other text. */
export function base64(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return null;
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2), and each hash on the way.
 * `null` if the path does not have the length for this index and size.
 */
export async function rootOfInclusion(leaf, index, size, path) {
  if (index >= size) return null;
  let [position, last, hash] = [index, size - 1n, leaf];
  const steps = [];
  for (const sibling of path) {
    if (last === 0n) return null;
    if (position & 1n || position === last) {
      hash = await nodeHash(sibling, hash);
      steps.push({ sibling, side: 'left', hash });
      while (!(position & 1n) && position !== 0n) [position, last] = [position >> 1n, last >> 1n];
    } else {
      hash = await nodeHash(hash, sibling);
      steps.push({ sibling, side: 'right', hash });
    }
    [position, last] = [position >> 1n, last >> 1n];
  }
  return last === 0n ? { root: hash, steps } : null;
}

/** Whether the tree `later` continues the tree `earlier`; both are `{size, root}` (RFC 9162, section 2.1.4.2). */
export async function isConsistent(earlier, later, proof) {
  if (earlier.size > later.size) return false;
  if (earlier.size === later.size) return proof.length === 0 && equal(earlier.root, later.root);
  if (earlier.size === 0n) return true;
  const isPowerOfTwo = (earlier.size & (earlier.size - 1n)) === 0n;
  const path = isPowerOfTwo ? [earlier.root, ...proof] : proof;
  if (path.length === 0) return false;
  let [position, last] = [earlier.size - 1n, later.size - 1n];
  while (position & 1n) [position, last] = [position >> 1n, last >> 1n];
  let [old, grown] = [path[0], path[0]];
  for (const hash of path.slice(1)) {
    if (last === 0n) return false;
    if (position & 1n || position === last) {
      old = await nodeHash(hash, old);
      grown = await nodeHash(hash, grown);
      while (!(position & 1n) && position !== 0n) [position, last] = [position >> 1n, last >> 1n];
    } else {
      grown = await nodeHash(grown, hash);
    }
    [position, last] = [position >> 1n, last >> 1n];
  }
  return last === 0n && equal(old, earlier.root) && equal(grown, later.root);
}
