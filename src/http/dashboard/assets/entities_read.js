// The stored entities that a decision read. The log has them once, as a set with a digest that decisions name.

import { get } from './api.js';
import { el, empty, fault, fill, source, whileBusy } from './dom.js';
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
        : 'None: the decision rests on the question alone.',
    );
  }
  const place = el('div', { role: 'status' });
  const button = el('button', { type: 'button' }, 'Find them in the log');
  const find = async () => {
    fill(place, el('p.quiet', {}, 'Searching …'));
    try {
      const set = await findSet(record.entities, record.ts);
      fill(
        place,
        set
          ? await shownSet(set, record.entities)
          : empty(
              'They were not found in the newest 2,000 sets before the decision. ',
              el('code', {}, 'acgs audit replay'),
              ' reads the whole log.',
            ),
      );
    } catch (error) {
      fill(place, fault(error));
    }
  };
  button.addEventListener('click', () => whileBusy(button, find));
  return el('div', {}, el('p.quiet', {}, 'Set ', el('code', {}, record.entities.slice(0, 16)), ' …'), button, place);
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

async function shownSet(text, wanted) {
  const entities = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const number = entities.length === 1 ? 'One entity' : `${entities.length} entities`;
  const fits = canVerify() ? hex(await digest(text)) === wanted : null;
  return [
    fits === false
      ? el(
          'p.fault',
          { role: 'alert' },
          '✕ These entities are not those that the decision read: their digest is another.',
        )
      : el(
          'p.quiet',
          {},
          fits ? `✓ ${number}; the digest is the one in the record.` : `${number}; the digest was not checked.`,
        ),
    source(entities.map((entity) => JSON.stringify(entity, null, 1)).join('\n'), 'The entities as JSON'),
  ];
}
