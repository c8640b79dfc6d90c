// Why a decision came out as it did, and what would have to change: of a record, or of an answer.

import { badge, codes, el } from './dom.js';
import { policyTexts } from './policies.js';
import { reasonText } from './reasons.js';

/** The sections `Why`, `What would have to change` and `The policies`. `texts` may replace the last one. */
export function whyBlock(record, texts = policySection(record)) {
  return [why(record), change(record), texts];
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

function change(record) {
  if (record.decision) return null;
  const advice = new Set((record.violations ?? []).flatMap((finding) => finding.advice ?? []));
  const nearest = record.nearest ?? [];
  for (const { advice: text } of nearest) if (text) advice.add(text);
  const items = [...advice].map((text) => el('li', {}, text));
  const misses = nearest.map(({ policy, failed = [] }) =>
    el('li', {}, el('code', {}, policy), ' would permit it if ', codes(failed, ' and '), ' held'),
  );
  const body =
    items.length + misses.length > 0
      ? el('ul', {}, items, misses)
      : el('p.quiet', {}, 'The constitution gives no advice for this.');
  return el('section', {}, el('h3', {}, 'What would have to change'), body);
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
