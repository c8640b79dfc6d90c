// What would have to change for a recorded deny to become a permit, as far as its record does not say it: a dry run does.

import { questionOf } from './again.js';
import { post } from './api.js';
import { el, fill } from './dom.js';
import { has, session } from './session.js';
import { adviceItems, missingPermits } from './why.js';

/** A block with advice as of now, filled in when the dry run is answered. `hasAdvice`: the record itself has some. */
export function adviceNow(record, hasAdvice) {
  const asked = questionOf(record);
  const place = el('div', {}, hasAdvice ? null : el('p.quiet', {}, 'The constitution gives no advice for this.'));
  if (asked !== null && has('read') && session().user !== null) fillIn(place, asked, hasAdvice);
  return place;
}

async function fillIn(place, { question, headers }, hasAdvice) {
  try {
    const { decision, context, policies = [] } = await post('v1/explain', question, { headers });
    const items = adviceItems(context ?? {});
    if (decision) fill(place, el('p', {}, 'By the constitution and the entities of now it would be permitted.'));
    else if (hasAdvice) fill(place, missingPermits(policies));
    else if (items.length > 0)
      fill(place, el('p.quiet', {}, 'By the constitution and the entities of now:'), el('ul', {}, items));
  } catch {
    // The record is shown without it; `Decide it again` says why it cannot be decided.
  }
}
