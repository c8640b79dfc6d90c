// The reasons of verdicts, in words for people who did not write the policies.

import { words } from './format.js';

export const REASONS = {
  permitted: 'At least one policy permits it, and none forbids it.',
  forbidden: 'A policy of a principle forbids it, whatever else permits it.',
  no_permit: 'No policy permits it. What is not permitted is denied.',
  constitution_hash_required: 'The caller did not name the hash of the constitution, which the settings require.',
  constitution_mismatch: 'The caller expects another constitution than the one in force.',
  unknown_type: 'The question names a type that the constitution does not declare.',
  unknown_action: 'The question names an action that the constitution does not declare.',
  invalid_properties: 'Properties in the question do not have the types that the constitution declares.',
  invalid_request: 'The question could not be read.',
  unavailable: 'Something that the decision needs was not available.',
  evaluation_error: 'A policy could not be evaluated with what is known.',
};

/** The meaning of a reason. */
export function reasonText(reason) {
  return REASONS[reason] ?? words(reason);
}

/** The principles that a record or an answer names as violated, and its warnings. */
export function principlesOf({ violations = [], warnings = [] } = {}) {
  return {
    violated: violations.map(({ principle }) => principle),
    warned: warnings.map(({ principle }) => principle),
  };
}
