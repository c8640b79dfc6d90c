// Verifies that a record is in the log: from the record's bytes over the path of its inclusion proof (C2SP tlog-proof)
// to the root of a signed checkpoint. Nothing here trusts the daemon: it works on bytes, and fetches nothing.

import { base64, equal, hex, isConsistent, leafHash, rootOfInclusion } from './merkle.js';
import { checkSignature, parseCheckpoint, parseKey, parseNote } from './note.js';

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
const MAX_PATH = 64;

export const OK = 'ok';
export const FAILED = 'failed';
export const NOT_CHECKED = 'not checked';

/** `{index, path, note}` of a tlog-proof; throws an `Error` if it is not one. */
export function parseProof(text) {
  const malformed = new Error('the proof is not a C2SP tlog-proof');
  const end = text.indexOf('\n\n');
  if (end < 0) throw malformed;
  const lines = text.slice(0, end).split('\n');
  if (lines.shift() !== FIRST_LINE) throw malformed;
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const index = /^index (0|[1-9][0-9]*)$/.exec(lines.shift() ?? '');
  const path = lines.map(base64);
  if (!index || path.length > MAX_PATH || path.some((hash) => hash?.length !== 32)) throw malformed;
  return { index: BigInt(index[1]), path, note: text.slice(end + 2) };
}

/** Whether this browser can compute hashes: it can on `https` and on loopback addresses only. */
export function canVerify() {
  return Boolean(globalThis.crypto?.subtle);
}

/**
 * Verifies one entry of the log.
 *
 * - `index`, `bytes`: the entry's place, and its bytes as the daemon serves them
 * - `proof`: the text of its inclusion proof
 * - `origin`: the log's name, if it is known
 * - `key`: the log's public key as `acgs audit vkey` prints it, or nothing
 *
 * Answers `{verdict, summary, steps: [{title, state, detail, hashes}], checkpoint}`. `verdict` is `failed` if any step
 * failed, and `ok` if the path leads to the checkpoint, even if its signature was not checked: `summary` says which.
 */
export async function verifyEntry({ index, bytes, proof, origin, key }) {
  const steps = [];
  const step = (title, state, detail, hashes = []) => steps.push({ title, state, detail, hashes });
  const end = (summary, checkpoint = null) => {
    const verdict = steps.some(({ state }) => state === FAILED) ? FAILED : OK;
    return { verdict, summary, steps, checkpoint };
  };

  const leaf = await leafHash(bytes);
  step('Hash of the record', OK, `SHA-256 of 0x00 and the ${bytes.length} bytes of the record, computed here`, [
    hex(leaf),
  ]);

  let parsed, note, checkpoint;
  try {
    parsed = parseProof(proof);
    note = parseNote(parsed.note);
    checkpoint = parseCheckpoint(note.text);
  } catch (error) {
    step('Form of the proof', FAILED, error.message);
    return end('The proof cannot be read, so nothing shows that this record was logged.');
  }

  if (parsed.index !== BigInt(index)) {
    step('Subject of the proof', FAILED, `it is about entry ${parsed.index}, not about entry ${index}`);
    return end('The proof belongs to another record, so nothing shows that this record was logged.', checkpoint);
  }
  if (origin && checkpoint.origin !== origin) {
    step('Subject of the proof', FAILED, `it is about the log ${checkpoint.origin}, not about ${origin}`);
    return end('The proof belongs to another log, so nothing shows that this record was logged.', checkpoint);
  }
  step(
    'Subject of the proof',
    OK,
    `entry ${index} of the log ${checkpoint.origin}, which had ${checkpoint.size} entries`,
  );

  const climbed = await rootOfInclusion(leaf, parsed.index, checkpoint.size, parsed.path);
  const isIncluded = climbed && equal(climbed.root, checkpoint.root);
  const way = climbed?.steps.map(({ side, hash }) => `${side} sibling → ${hex(hash)}`) ?? [];
  step(
    'Path to the root',
    isIncluded ? OK : FAILED,
    isIncluded
      ? `${parsed.path.length} hashes lead from the record to the root of the checkpoint`
      : climbed
        ? 'the hashes lead to another root than that of the checkpoint'
        : 'the path does not have the length for this index and size',
    [...way, `root of the checkpoint: ${hex(checkpoint.root)}`],
  );
  if (!isIncluded) {
    const summary =
      'This record is not the one that was logged: the record, its index or the hashes of its proof were changed.';
    return end(summary, checkpoint);
  }

  const signed = await signatureStep(note, key);
  steps.push(signed);
  return end(summaries[signed.state](checkpoint), checkpoint);
}

const summaries = {
  [OK]: ({ size }) => `This is the record that was logged: it is in the log of ${size} entries that the key signed.`,
  [FAILED]: () => 'The checkpoint was not signed by the key of the log: it does not show that this record was logged.',
  [NOT_CHECKED]: ({ size }) =>
    `This record is in the log of ${size} entries that the daemon shows. The signature of that log was not checked.`,
};

async function signatureStep(note, keyText) {
  const title = 'Signature of the checkpoint';
  const signers = note.signatures.map(({ name, id }) => `${name}+${id}`);
  const result = (state, detail) => ({
    title,
    state,
    detail,
    hashes: signers.map((signer) => `signed by ${signer}`),
  });
  if (!keyText) {
    return result(NOT_CHECKED, 'no public key is known to this browser: enter what `acgs audit vkey` prints');
  }
  let key;
  try {
    key = await parseKey(keyText);
  } catch (error) {
    return result(NOT_CHECKED, error.message);
  }
  const known = `${key.name}+${key.id}`;
  switch (await checkSignature(note, key)) {
    case 'valid':
      return result(OK, `Ed25519 signature of ${known} over the checkpoint`);
    case 'unsupported':
      return result(NOT_CHECKED, 'this browser has no Ed25519; `acgs audit check-proof` checks it');
    case 'absent':
      return result(
        FAILED,
        `it is not signed by ${known}, but by ${signers.join(', ')}; after a rotation of the key, enter the new one`,
      );
    default:
      return result(FAILED, `the signature of ${known} is not over this checkpoint`);
  }
}

/**
 * Verifies that a checkpoint continues one that was kept earlier: nothing was removed or changed since.
 * Both are `{origin, size, root}`; `proof` is the list of base64 hashes of `/v1/audit/consistency`.
 */
export async function verifyConsistency(kept, checkpoint, proof) {
  const title = 'Continuation of an earlier checkpoint';
  const hashes = proof.map(base64);
  const isSound = hashes.every((hash) => hash?.length === 32);
  if (isSound && (await isConsistent(kept, checkpoint, hashes))) {
    const detail = `the log of ${checkpoint.size} entries continues the one of ${kept.size} that this browser kept`;
    return { title, state: OK, detail, hashes: [] };
  }
  const detail = `the log does not continue the one of ${kept.size} entries that this browser kept: it was rewritten`;
  return { title, state: FAILED, detail, hashes: [`kept root: ${hex(kept.root)}`] };
}
