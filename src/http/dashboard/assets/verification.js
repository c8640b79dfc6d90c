// Verifies a record in this browser, and shows each step: what was computed here, and what was not checked.

import { get, getBytes, getText } from './api.js';
import { badge, el, empty, fill, prose, symbol } from './dom.js';
import { dateTime } from './format.js';
import { canonical } from './json.js';
import { parseKey } from './note.js';
import { canVerify, FAILED, NOT_CHECKED, OK, verifyConsistency, verifyEntry } from './proof.js';
import { checkpointOf, keepCheckpoint, keepKey, keyOf } from './trust.js';
import { Mismatch, wholeRecord } from './whole_record.js';

const UNCHECKED = { verdict: NOT_CHECKED, steps: [] };

/** The bytes of an entry, as the daemon has them now. */
const entryAt = (index) => getBytes(`v1/audit/entries/${index}`);

/**
 * Reads the entry `index` of the daemon's log and verifies that it was logged.
 *
 * `expected` is the id of the record, and `listed` the record as a search showed it, if it did. Answers
 * `{record, result}`; `record` is what the verified entry contains, or `null` if it cannot be read.
 */
export async function readVerified(index, { id, origin, listed }) {
  if (!canVerify()) {
    const summary = 'Not verified: browsers compute hashes on https and on loopback addresses only.';
    return { record: null, result: { ...UNCHECKED, summary } };
  }
  const steps = [];
  let record = null;
  let entry = null;
  try {
    const whole = await wholeRecord(index, entryAt);
    ({ record, entry } = whole);
    const isSame = record.id === id;
    const detail = isSame
      ? [`shown is what entry ${index} contains`, ...whole.checked.map((text) => `its digest fits: ${text}`)].join('; ')
      : `entry ${index} contains the record ${record.id}, not ${id}`;
    steps.push({ title: CONTENT, state: isSame ? OK : FAILED, detail, hashes: [] });
  } catch (error) {
    if (!(error instanceof Mismatch) && !(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    entry ??= await entryAt(index);
    steps.push({ title: CONTENT, state: FAILED, detail: error.message, hashes: [] });
  }
  if (record && listed) steps.push(copyStep(record, listed));
  const proof = await getText(`v1/audit/entries/${index}/proof`);
  const proven = await verifyEntry({ index, bytes: entry, proof, origin, key: keyOf(origin) });
  const continuation = proven.verdict === OK ? await continuationStep(proven.checkpoint) : null;
  const all = [...steps, ...proven.steps, ...(continuation ? [continuation] : [])];
  return { record, result: judge(all, proven.summary) };
}

const CONTENT = 'Content';
const COPY = 'Copy in the search index';
const CONTINUATION = 'Continuation of an earlier checkpoint';

/** Words for steps that are not those of the proof. Of several that failed, the first ones say less than the proof. */
const SUMMARIES = {
  [CONTENT]: ({ detail }) => `This record is not the one that was logged: ${detail}.`,
  [COPY]: (_, failures) =>
    failures === 1
      ? 'The list showed another record than the log has: the search index was changed. Shown here is what was logged.'
      : null,
  [CONTINUATION]: () => 'The log was rewritten: it does not continue what this browser saw earlier.',
};

function judge(steps, summary) {
  const failed = steps.filter(({ state }) => state === FAILED);
  if (failed.length === 0) return { verdict: OK, summary, steps };
  const [first] = failed;
  // The list may be wrong while the record is right.
  const isContentProven = failed.every(({ title }) => title === COPY);
  return {
    verdict: FAILED,
    isContentProven,
    summary: SUMMARIES[first.title]?.(first, failed.length) ?? summary,
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
      return {
        title: CONTINUATION,
        state: FAILED,
        detail: `no proof of it: ${error.message}`,
        hashes: [],
      };
    }
  }
  const step = await verifyConsistency(earlier, later, proof);
  if (step.state === OK && later === checkpoint) keepCheckpoint(checkpoint);
  if (step.state === OK) step.detail += `, kept on ${dateTime(kept.at)}`;
  return step;
}

const KINDS = { [OK]: 'ok', [FAILED]: 'failed', [NOT_CHECKED]: 'unknown' };

/** The result as a block: the verdict in words, and the steps. `again` verifies once more, with a new key. */
export function verificationBlock(result, origin, again) {
  const isPartial = result.steps.some(({ state }) => state === NOT_CHECKED);
  const kind = result.verdict === OK && isPartial ? 'partial' : (KINDS[result.verdict] ?? 'unknown');
  const block = el(
    'section',
    { class: `verification verification-${kind}`, 'aria-label': 'Verification' },
    el(
      'p.verdict',
      { role: result.verdict === FAILED ? 'alert' : null },
      symbol(result.verdict === FAILED ? '✕' : result.verdict === OK ? '✓' : '–'),
      ' ',
      el('strong', {}, result.summary),
    ),
  );
  if (result.verdict === FAILED && !result.isContentProven) {
    block.append(el('p', {}, 'What follows is what the daemon sent. It is not proven.'));
  }
  if (result.steps.length > 0) {
    block.append(
      el(
        'details',
        { open: result.verdict === FAILED },
        el('summary', {}, `${result.steps.length} steps, computed in this browser`),
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
