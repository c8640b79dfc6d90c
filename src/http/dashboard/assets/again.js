// Decides a recorded question again, without recording a decision, and shows what is different now.

import { post } from './api.js';
import { el, empty, fault, fill, whileBusy } from './dom.js';
import { explanation } from './explanation.js';
import { words } from './format.js';
import { principlesOf } from './reasons.js';
import { has, missingScope, session } from './session.js';

/** The question of a record as an AuthZEN evaluation. */
function questionOf({ subject, action, resource, context }) {
  return { subject, action, resource, ...(context && Object.keys(context).length > 0 ? { context } : {}) };
}

/** A block with a button that asks the question of this record again. */
export function askAgain(record) {
  if (record.request || record.omitted)
    return empty('The record does not have the whole question, so it cannot be asked again.');
  if (!has('read')) return empty(missingScope(['read'], 'A dry run'));
  if (session().user === null) return empty('Sign in to decide it again: without a login this page only reads.');
  const place = el('div', { role: 'status' });
  const button = el('button', { type: 'button' }, 'Decide it under the constitution in force');
  const decide = async () => {
    fill(place, el('p.quiet', {}, 'Deciding …'));
    try {
      const answer = await post('v1/explain', questionOf(record));
      fill(
        place,
        comparison(record, answer),
        el('details', {}, el('summary', {}, 'The answer, policy by policy'), explanation(answer)),
      );
    } catch (error) {
      fill(place, fault(error));
    }
  };
  button.addEventListener('click', () => whileBusy(button, decide));
  return el(
    'div',
    {},
    el('p.quiet', {}, 'A dry run: no decision is recorded, and the entities are those of now.'),
    button,
    place,
  );
}

/** The differences between a record and an answer, as a table; a sentence if there are none. */
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
  if (differences.length === 0)
    return el('p', {}, `✓ The same answer would be given now: ${rows[0][2]}, for the same reasons.`);
  const isSameDecision = rows[0][1] === rows[0][2];
  return [
    el(
      'p',
      {},
      isSameDecision
        ? `The decision would be the same, ${rows[0][2]}, with these differences:`
        : `The decision would be another one now: ${rows[0][2]} instead of ${rows[0][1]}.`,
    ),
    el(
      'table',
      {},
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          ['', 'Then', 'Now'].map((title) => (title ? el('th', { scope: 'col' }, title) : el('td'))),
        ),
      ),
      el(
        'tbody',
        {},
        differences.map(([name, then, today]) =>
          el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, then), el('td', {}, today)),
        ),
      ),
    ),
  ];
}
