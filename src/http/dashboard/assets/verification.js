// Verifies a record in this browser, and shows each step: what was computed here, and what was not checked.

import { get, getBytes, getText, RequestError } from './api.js';
import { badge, el, empty, fill, prose, symbol } from './dom.js';
import { dateTime } from './format.js';
import { canonical } from './json.js';
import { parseKey } from './note.js';
import { canVerify, FAILED, NOT_CHECKED, OK, verifyConsistency, verifyEntry } from './proof.js';
import { checkpointOf, keepCheckpoint, keepKey, keyOf } from './trust.js';
import { Mismatch, wholeRecord } from './whole_record.js';

const UNCHECKED = { verdict: NOT_CHECKED, steps: [] };

/**
 * Reads the entry `index` of the daemon's log and verifies that it was logged.
 *
 * `id` is that of the record, and `listed` the record as a search showed it, if it did. Answers `{record, result}`;
 * `record` is the content of the verified entry, or `null` if it cannot be read. A request that fails proves nothing: its
 * step is not checked.
 */
export async function readVerified(index, { id, origin, listed }) {
  if (!canVerify()) {
    const summary = 'Not verified: browsers compute hashes on https and on loopback addresses only.';
    return { record: null, result: { ...UNCHECKED, summary } };
  }
  const steps = [];
  let record = null;
  try {
    const entry = await entryAt(index);
    record = await contentStep(index, { id, entry, steps });
    if (record && listed) steps.push(copyStep(record, listed));
    const proof = await requested(PROOF, () => getText(`v1/audit/entries/${index}/proof`));
    const proven = await verifyEntry({ index, bytes: entry, proof, origin, key: keyOf(origin) });
    steps.push(...proven.steps);
    if (proven.verdict === OK) steps.push(await continuationStep(proven.checkpoint));
    return { record, result: judge(steps, proven.summary) };
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
    steps.push({
      title: error.step,
      state: NOT_CHECKED,
      detail: `it could not be read now: ${error.message}`,
      hashes: [],
    });
    return { record, result: judge(steps, `Not verified: ${error.message}`) };
  }
}

/** A request that a step needs was not answered with a success. */
class Unanswered extends Error {
  constructor(step, { message }) {
    super(message);
    this.step = step;
  }
}

async function requested(step, request) {
  try {
    return await request();
  } catch (error) {
    throw error instanceof RequestError ? new Unanswered(step, error) : error;
  }
}

/** The bytes of an entry, as the daemon has them now. */
const entryAt = (index) => requested(CONTENT, () => getBytes(`v1/audit/entries/${index}`));

/** Adds the step of the record's content; answers the record, or `null` if the entry has none. */
async function contentStep(index, { id, entry, steps }) {
  const step = (state, detail) => steps.push({ title: CONTENT, state, detail, hashes: [] });
  try {
    const { record, checked } = await wholeRecord(index, (at) => (at === index ? entry : entryAt(at)));
    const details = [`shown is what entry ${index} contains`, ...checked.map((text) => `its digest fits: ${text}`)];
    if (record.id === id) step(OK, details.join('; '));
    else step(FAILED, `entry ${index} contains the record ${record.id}, not ${id}`);
    return record;
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    step(FAILED, error.message);
    return null;
  }
}

const CONTENT = 'Content';
const COPY = 'Copy in the search index';
const PROOF = 'Proof';
const CONTINUATION = 'Continuation of an earlier checkpoint';

/** Words for steps that are not those of the proof. Of several that failed, the first ones say less than the proof. */
const SUMMARIES = {
  [CONTENT]: ({ detail }) => `This record is not the one that was logged: ${detail}.`,
  [COPY]: (_, { isMissing, failures }) => {
    if (isMissing) return 'The list showed another record than the daemon does now, of which no proof could be read.';
    return failures === 1
      ? 'The list showed another record than the log has: the search index was changed. Shown here is what was logged.'
      : null;
  },
  [CONTINUATION]: () => 'The log was rewritten: it does not continue what this browser saw earlier.',
};

function judge(steps, summary) {
  const failed = steps.filter(({ state }) => state === FAILED);
  const isMissing = steps.some(({ title, state }) => state === NOT_CHECKED && [CONTENT, PROOF].includes(title));
  if (failed.length === 0) return { verdict: isMissing ? NOT_CHECKED : OK, summary, steps };
  const [first] = failed;
  // The list may be wrong while the record is right.
  const isContentProven = !isMissing && failed.every(({ title }) => title === COPY);
  return {
    verdict: FAILED,
    isContentProven,
    summary: SUMMARIES[first.title]?.(first, { isMissing, failures: failed.length }) ?? summary,
    steps,
  };
}

function copyStep(record, listed) {
  const isSame = canonical(record) === canonical(listed);
  const detail = isSame ? 'the search showed the same record' : 'the search showed another record than the log has';
  return { title: COPY, state: isSame ? OK : FAILED, detail, hashes: [] };
}

/** Compares with the checkpoint that this browser kept, and keeps the newer one. */
async function continuationStep(checkpoint) {
  const kept = checkpointOf(checkpoint.origin);
  if (!kept) {
    keepCheckpoint(checkpoint);
    const detail = `this browser keeps the checkpoint of ${checkpoint.size} entries, and compares later ones with it`;
    return { title: CONTINUATION, state: NOT_CHECKED, detail, hashes: [] };
  }
  const [earlier, later] = kept.size <= checkpoint.size ? [kept, checkpoint] : [checkpoint, kept];
  let proof = [];
  if (earlier.size < later.size) {
    try {
      ({ proof } = await get('v1/audit/consistency', { from: earlier.size, to: later.size }));
    } catch (error) {
      // Only a log that does not have these sizes is answered so.
      const isRefused = [400, 404].includes(error.status);
      return {
        title: CONTINUATION,
        state: isRefused ? FAILED : NOT_CHECKED,
        detail: isRefused ? `no proof of it: ${error.message}` : `it could not be checked now: ${error.message}`,
        hashes: [],
      };
    }
  }
  const step = await verifyConsistency(earlier, later, Array.isArray(proof) ? proof : []);
  if (step.state === OK && later === checkpoint) keepCheckpoint(checkpoint);
  if (step.state === OK) step.detail += `, kept on ${dateTime(kept.at)}`;
  return step;
}

const MARKS = { ok: '✓', partial: '▲', failed: '✕' };
const KINDS = { [OK]: 'ok', [FAILED]: 'failed', [NOT_CHECKED]: 'unknown' };

/** The result as a block: the verdict in words, and the steps. `again` verifies once more, with a new key. */
export function verificationBlock(result, origin, again) {
  const isUnchecked = result.verdict === NOT_CHECKED;
  const isPartial = result.steps.some(({ state }) => state === NOT_CHECKED);
  const kind = result.verdict === OK && isPartial ? 'partial' : (KINDS[result.verdict] ?? 'unknown');
  const block = el(
    'section',
    { class: `verification verification-${kind}`, 'aria-label': 'Verification' },
    el(
      'p.verdict',
      { role: result.verdict === FAILED ? 'alert' : null },
      symbol(MARKS[kind] ?? '–'),
      ' ',
      el('strong', {}, result.summary),
    ),
  );
  if (isUnchecked || (result.verdict === FAILED && !result.isContentProven)) {
    block.append(el('p', {}, 'The record below is shown as the daemon sent it. It is not proven.'));
  }
  if (isUnchecked && result.steps.length > 0) {
    block.append(el('p', {}, el('button', { type: 'button', onclick: again }, 'Verify it again')));
  }
  if (result.steps.length > 0) {
    block.append(
      el(
        'details',
        { open: result.verdict !== OK },
        el(
          'summary',
          {},
          `${result.steps.length} ${result.steps.length === 1 ? 'step' : 'steps'}, computed in this browser`,
        ),
        el('ol.steps', {}, result.steps.map(stepItem)),
        keyForm(origin, again),
      ),
    );
  }
  return block;
}

function stepItem({ title, state, detail, hashes }) {
  return el(
    'li',
    {},
    badge(KINDS[state], state),
    ' ',
    el('strong', {}, title),
    ': ',
    prose(detail),
    hashes.length > 0
      ? el(
          'ul.hashes',
          {},
          hashes.map((hash) => el('li', {}, el('code', {}, hash))),
        )
      : null,
  );
}

function keyForm(origin, again) {
  if (!origin) return null;
  const known = keyOf(origin);
  const input = el('input', {
    name: 'key',
    value: known ?? '',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: `${origin}+…`,
  });
  const message = el('p.fault', { role: 'alert' });
  const form = el(
    'form.key',
    {},
    el(
      'label',
      {},
      el('span', {}, prose(`Public key of ${origin}, as \`acgs audit vkey\` prints it on its host`)),
      input,
    ),
    el('button', {}, known ? 'Replace the key' : 'Use this key'),
    message,
    el(
      'p.quiet',
      {},
      'This browser keeps it. Take it from the host or from an administrator, not from this page: then a changed daemon cannot pass off another log.',
    ),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    try {
      if (text) await parseKey(text);
      keepKey(origin, text);
      again();
    } catch (error) {
      fill(message, symbol('✕'), ' ', prose(error.message));
    }
  });
  return form;
}

/** The block for a record that belongs to another log. */
export function foreignLog(origin) {
  return el(
    'section.verification.verification-unknown',
    { 'aria-label': 'Verification' },
    empty(`This record is in the log of ${origin}. Only that node has its proof: open its own dashboard to verify it.`),
  );
}
