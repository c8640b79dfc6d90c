// The texts of policies of the constitution in force, each fetched once.

import { get } from './api.js';
import { el, fault, fill, source } from './dom.js';
import { follow, live } from './live.js';

const texts = new Map();

/** `{id, effect, principle, advice, text}` of a policy, or `null` if the constitution in force has none of that name. */
export function policy(id) {
  if (!texts.has(id)) {
    const asked = get(`v1/constitution/policies/${encodeURIComponent(id)}`).catch((error) => {
      texts.delete(id);
      if (error.status === 404) return null;
      throw error;
    });
    texts.set(id, asked);
  }
  return texts.get(id);
}

let inForce = null;

// Another constitution may have other texts under the same names.
follow((member) => {
  if (member !== 'status' || live.status?.constitution?.digest === inForce) return;
  inForce = live.status?.constitution?.digest ?? null;
  texts.clear();
});

/** The texts of these policies, filled in as they arrive. */
export function policyTexts(ids) {
  return el(
    'div.policies',
    {},
    ids.map((id) => {
      const place = el('div.policy', {}, el('h4', {}, el('code', {}, id)));
      policy(id).then(
        (found) =>
          place.append(...(found ? [principleLine(found), source(found.text, `Text of the policy ${id}`)] : [gone()])),
        (error) => place.append(fault(error)),
      );
      return place;
    }),
  );
}

function principleLine({ effect, principle }) {
  return el(
    'p.quiet',
    {},
    effect === 'permit' ? 'permits' : 'forbids',
    principle ? [' for the principle ', el('strong', {}, principle)] : '',
  );
}

function gone() {
  return el('p.quiet', {}, 'The constitution in force has no policy of this name.');
}

/** A closed block with the text of a policy that is known already. */
export function policyDetails({ id, effect, principle, text }, ...remarks) {
  const details = el('details.policy-row', {}, el('summary', {}, remarks, el('code', {}, id)));
  const content = el('div');
  fill(content, principleLine({ effect, principle }), text ? source(text, `Text of the policy ${id}`) : null);
  details.append(content);
  return details;
}
