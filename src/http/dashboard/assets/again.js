// Decides a recorded question again, without recording a decision, and shows what is different now.

import { post } from './api.js';
import { el, empty, fault, fill, setText, table, whileBusy } from './dom.js';
import { explanation } from './explanation.js';
import { words } from './format.js';
import { principlesOf } from './reasons.js';
import { has, missingScope, session } from './session.js';
import { changeInTry } from './try.js';

/**
 * The question of a record as an AuthZEN evaluation, with the hashes of the constitution that its caller claimed:
 * `{question, headers}`. `null` if the record does not have all of it.
 */
export function questionOf(record) {
  const { subject, action, resource, claimed_in_header: header, claimed_in_context: claim } = record;
  // A digested record has `null` for a claim that is no hash, and a text that no header can have was not recorded whole.
  const isKnown = claim !== null && header !== null && /^[\x20-\x7e]*$/.test(header ?? '');
  if (record.request || record.omitted || !isKnown) return null;
  const context = { ...record.context, ...(claim === undefined ? {} : { constitutional_hash: claim }) };
  return {
    question: { subject, action, resource, ...(Object.keys(context).length > 0 ? { context } : {}) },
    headers: header === undefined ? {} : { 'X-Constitutional-Hash': header },
  };
}

/** A block with a button that asks the question of this record again. */
export function askAgain(record) {
  const asked = questionOf(record);
  if (asked === null) return empty('The record does not have the whole question, so it cannot be asked again.');
  if (!has('read')) return empty(missingScope(['read'], 'A dry run'));
  if (session().user === null) return empty('Sign in to decide it again: without a login this page only reads.');
  const status = el('p', { role: 'status' });
  const place = el('div');
  const button = el('button', { type: 'button' }, 'Decide it under the constitution in force');
  const decide = async () => {
    setText(status, 'Deciding …');
    fill(place);
    try {
      const answer = await post('v1/explain', asked.question, { headers: asked.headers });
      const { summary, differences } = comparison(record, answer);
      setText(status, summary);
      fill(
        place,
        differences,
        el('details', {}, el('summary', {}, 'The answer, policy by policy'), explanation(answer)),
      );
    } catch (error) {
      setText(status, '');
      fill(place, fault(error));
    }
  };
  button.addEventListener('click', () => whileBusy(button, decide));
  return el(
    'div',
    {},
    el('p.quiet', {}, 'A dry run: no decision is recorded, and the entities are those of now.'),
    el(
      'p.buttons',
      {},
      button,
      ' ',
      el('button.plain', { type: 'button', onclick: () => changeInTry(asked.question) }, 'Try it with changes'),
    ),
    status,
    place,
  );
}

/** A record and an answer compared: a sentence, and the differences as a table. */
function comparison(record, answer) {
  const now = {
    ...answer.context,
    decision: answer.decision,
    reason: answer.reason ?? answer.context?.reason,
    hash: answer.constitution?.hash,
  };
  const list = (names = []) => [...names].sort().join(', ') || '–';
  const rows = [
    ['Decision', record.decision ? 'permit' : 'deny', now.decision ? 'permit' : 'deny'],
    ['Reason', words(record.reason), words(now.reason)],
    ['Policies', list(record.policies), list(now.policies)],
    ['Violated principles', list(principlesOf(record).violated), list(principlesOf(now).violated)],
    ['Warnings', list(principlesOf(record).warned), list(principlesOf(now).warned)],
    ['Constitution', record.hash ?? '–', now.hash ?? '–'],
  ];
  const differences = rows.filter(([, then, today]) => then !== today);
  const [, then, today] = rows[0];
  if (differences.length === 0)
    return { summary: `✓ The same answer would be given now: ${today}, for the same reasons.`, differences: null };
  return {
    summary:
      then === today
        ? `The decision would be the same, ${today}, with these differences:`
        : `The decision would be another one now: ${today} instead of ${then}.`,
    differences: table(
      ['', 'Then', 'Now'],
      differences.map(([name, one, other]) =>
        el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, one), el('td', {}, other)),
      ),
    ),
  };
}
