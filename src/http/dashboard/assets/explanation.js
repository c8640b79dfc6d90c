// The answer of a dry run: the outcome, and how each policy came out.

import { badge, el, prose, verdictBadge } from './dom.js';
import { count, entityName, words } from './format.js';
import { policyDetails } from './policies.js';
import { missingPermits, whyBlock } from './why.js';

const OUTCOMES = [
  { outcome: 'error', title: 'Could not be evaluated', kind: 'failed' },
  { outcome: 'satisfied', effect: 'forbid', title: 'Forbid it', kind: 'deny' },
  { outcome: 'satisfied', effect: 'permit', title: 'Permit it', kind: 'permit' },
  { outcome: 'not_satisfied', effect: 'permit', title: 'Would permit it, but their conditions do not hold', kind: 'unknown' },
  { outcome: 'not_satisfied', effect: 'forbid', title: 'Would forbid it, but their conditions do not hold', kind: 'unknown' },
  { outcome: 'not_applicable', title: 'Are about other questions', kind: 'unknown' },
];

/** The explanation of an answer of `/v1/explain`. */
export function explanation(answer) {
  const record = { ...answer.context, decision: answer.decision, reason: answer.reason ?? answer.context?.reason };
  const policies = answer.policies ?? [];
  return el(
    'div.explanation',
    {},
    el(
      'p.outcome',
      {},
      verdictBadge(record.decision),
      ' dry run, not recorded as a decision',
      answer.constitution?.hash ? [', under ', el('code', {}, answer.constitution.hash)] : null,
    ),
    whyBlock(record, { texts: null, more: (_, hasAdvice) => (hasAdvice ? missingPermits(policies) : null) }),
    el(
      'section',
      {},
      el('h3', {}, 'Policy by policy'),
      OUTCOMES.map((group) => outcomeGroup(group, policies)),
      answer.policies_left_out > 0
        ? el('p.quiet', {}, `${count(answer.policies_left_out)} more policies are not listed.`)
        : null,
    ),
    entityList(answer.entities ?? []),
  );
}

function outcomeGroup({ outcome, effect = null, title, kind }, all) {
  const policies = all.filter((policy) => policy.outcome === outcome && (effect === null || policy.effect === effect));
  if (policies.length === 0) return null;
  const rows = policies.map((policy) => {
    const isDeciding = outcome === 'satisfied';
    const mark = isDeciding ? badge(policy.effect === 'permit' ? 'permit' : 'deny', policy.effect) : el('span.quiet', {}, policy.effect);
    return el(
      'li',
      {},
      policyDetails(policy, mark, ' '),
      policy.detail ? el('p.policy-detail', {}, prose(policy.detail)) : null,
    );
  });
  const list = el('ul.policy-list', {}, rows);
  const heading = `${title}: ${policies.length}`;
  if (outcome === 'not_applicable') return el('details', {}, el('summary', {}, heading), list);
  return el('div', {}, el('h4', {}, badge(kind, heading)), list);
}

function entityList(entities) {
  if (entities.length === 0) return null;
  return el(
    'section',
    {},
    el('h3', {}, 'The entities that were read'),
    el(
      'ul.plain-list',
      {},
      entities.map((entity) =>
        el(
          'li',
          {},
          el('code', {}, entityName(entity)),
          el(
            'span.quiet',
            {},
            entity.version === null || entity.version === undefined
              ? ' not stored'
              : ` version ${words(entity.version)}`,
          ),
        ),
      ),
    ),
  );
}
