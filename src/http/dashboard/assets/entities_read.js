// The stored entities that a decision read. The log has them once, as a set with a digest that decisions name.

import { get } from './api.js';
import { el, empty, fault, fill, setText, source, whileBusy } from './dom.js';
import { parseExact } from './json.js';
import { digest, hex } from './merkle.js';
import { canVerify } from './proof.js';

const PAGE = 100;
const MAX_PAGES = 20;

/** A block that finds the set of a record on request: it may be far back in the log. */
export function readEntities(record) {
  if (typeof record.entities !== 'string') {
    return empty(
      record.entities
        ? 'The settings record requests by their digest: the entities cannot be looked up.'
        : 'No stored entity was found: the decision rests on the question alone.',
    );
  }
  const status = el('p.quiet', { role: 'status' });
  const place = el('div');
  const button = el('button', { type: 'button' }, 'Find them in the log');
  const find = async () => {
    setText(status, 'Searching …');
    fill(place);
    try {
      const set = await findSet(record.entities, record.ts);
      const shown = set === null ? NOT_FOUND : await shownSet(set, record.entities);
      setText(status, shown.summary);
      fill(place, shown.content());
    } catch (error) {
      setText(status, '');
      fill(place, fault(error));
    }
  };
  button.addEventListener('click', () => whileBusy(button, find));
  return el(
    'div',
    {},
    el('p.quiet', {}, 'Set ', el('code', {}, record.entities.slice(0, 16)), ' …'),
    button,
    status,
    place,
  );
}

/** The parts of the newest set with this digest that was recorded before the decision; `null` if there is none. */
async function findSet(wanted, at) {
  const to = new Date(new Date(at).getTime() + 1000).toISOString();
  const parts = new Map();
  let cursor = null;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const page = await get('v1/audit/entries', { kind: 'entities', to, limit: PAGE, cursor });
    for (const { record } of page.items) {
      if (record?.digest !== wanted) continue;
      parts.set(record.part, record);
      if (parts.size === record.parts)
        return Array.from({ length: record.parts }, (_, part) => parts.get(part).text).join('');
    }
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  return null;
}

const NOT_FOUND = {
  summary: 'They were not found in the newest 2,000 sets before the decision.',
  content: () => empty(el('code', {}, 'acgs audit replay'), ' reads the whole log.'),
};

/** A sentence about the set, and its entities. */
async function shownSet(text, wanted) {
  const fits = canVerify() ? hex(await digest(text)) === wanted : null;
  if (fits === false) {
    const message = 'These entities are not those that the decision read: their digest is another.';
    return { summary: '', content: () => [fault({ message }), source(text, 'The entities as they were sent')] };
  }
  const entities = text.split('\n').filter(Boolean).map(parseExact);
  const number = entities.length === 1 ? 'One entity' : `${entities.length} entities`;
  const json = entities.map((entity) => JSON.stringify(entity, null, 1)).join('\n');
  return {
    summary: fits ? `✓ ${number}; the digest is the one in the record.` : `${number}; the digest was not checked.`,
    content: () => source(json, 'The entities as JSON'),
  };
}
