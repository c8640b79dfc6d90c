// Why a decision came out as it did, and what would have to change: of a record, or of an answer.

import { badge, codes, el, prose } from './dom.js';
import { policyTexts } from './policies.js';
import { reasonText } from './reasons.js';

/**
 * The sections `Why`, `What would have to change` and `The policies`. `texts` may replace the last one; `more` makes
 * what follows the advice that a deny has itself: `more(record, hasAdvice)`.
 */
export function whyBlock(record, { texts = policySection(record), more = noAdvice } = {}) {
  return [why(record), change(record, more), texts];
}

function noAdvice(_, hasAdvice) {
  return hasAdvice ? null : el('p.quiet', {}, 'The constitution gives no advice for this.');
}

function why(record) {
  const { decision, reason, detail, policies = [], violations = [], warnings = [] } = record;
  return el(
    'section',
    {},
    el('h3', {}, 'Why'),
    el('p', {}, reasonText(reason), detail ? el('span', {}, ` (${detail})`) : null),
    policies.length > 0 ? el('p', {}, decision ? 'Permitted by ' : 'Forbidden by ', codes(policies), '.') : null,
    findings(violations, 'Violated'),
    findings(warnings, 'Warning'),
  );
}

function findings(list, word) {
  if (list.length === 0) return null;
  return el(
    'ul.findings',
    {},
    list.map(({ principle, severity, policies = [] }) =>
      el(
        'li',
        {},
        badge(word === 'Violated' ? 'deny' : 'warning', `${word}: ${principle}`),
        ` severity ${severity}`,
        policies.length > 0 ? [', by ', codes(policies)] : null,
      ),
    ),
  );
}

function change(record, more) {
  if (record.decision) return null;
  const advice = adviceItems(record);
  const wrong = correction(record);
  const own = advice.length > 0 ? [advice.length > 1 ? el('p.quiet', {}, ALL) : null, el('ul', {}, advice)] : wrong;
  const rest = wrong ? null : more(record, advice.length > 0);
  return el('section', {}, el('h3', {}, 'What would have to change'), own, rest);
}

const ALL = 'All of this; what then still stands against it, a dry run tells:';

/** The permits that a deny lacks besides, from the policies of a dry run: none if one of them holds. */
export function missingPermits(policies) {
  const permits = policies.filter(({ effect }) => effect === 'permit');
  if (permits.some(({ outcome }) => outcome === 'satisfied')) return null;
  const nearest = permits.filter(({ outcome, detail }) => outcome === 'not_satisfied' && detail).slice(0, 5);
  if (nearest.length === 0) return el('p', {}, 'Besides, no policy permits this action for this subject and this resource.');
  return [
    el('p', {}, 'Besides, a policy has to permit it, and none does:'),
    el(
      'ul',
      {},
      nearest.map(({ id, detail }) => el('li', {}, el('code', {}, id), ': ', prose(detail))),
    ),
  ];
}

/** A question that does not fit the schema has to be another one. */
function correction({ reason, detail }) {
  if (!/^invalid_|^unknown_/.test(reason ?? '') || !detail) return null;
  return el('p', {}, 'The question has to be corrected: ', prose(detail));
}

/** What the constitution advises, and what the policies that come nearest to a permit lack, as items of a list. */
export function adviceItems(record) {
  const advice = new Set((record.violations ?? []).flatMap((finding) => finding.advice ?? []));
  const nearest = record.nearest ?? [];
  for (const { advice: text } of nearest) if (text) advice.add(text);
  const items = [...advice].map((text) => el('li', {}, prose(text)));
  const misses = nearest.map(({ policy, failed = [] }) =>
    el('li', {}, el('code', {}, policy), ' would permit it if ', codes(failed, ' and '), ' held'),
  );
  return [...items, ...misses];
}

/** The names of all policies that a record mentions. */
function policiesOf({ policies = [], violations = [], warnings = [], nearest = [] }) {
  const named = [
    ...policies,
    ...[...violations, ...warnings].flatMap((finding) => finding.policies ?? []),
    ...nearest.map(({ policy }) => policy),
  ];
  return [...new Set(named)];
}

function policySection(record) {
  const ids = policiesOf(record);
  if (ids.length === 0) return null;
  return el(
    'section',
    {},
    el('h3', {}, 'The policies'),
    el(
      'p.quiet',
      {},
      'As the constitution in force has them.',
      record.hash ? [' The decision was made under ', el('code', {}, record.hash), '.'] : null,
    ),
    policyTexts(ids),
  );
}
