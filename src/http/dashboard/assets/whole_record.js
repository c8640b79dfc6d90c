// Reads a record whole: a large one is in parts before its head, and records of a batch share large members. The entry
// that is proven has the digests of those, so they are verified against it.

import { parseExact } from './json.js';
import { digest, hex } from './merkle.js';

const decoder = new TextDecoder('utf-8', { fatal: true });
const VALUE = ',"value":';

/** Thrown if the content of a record does not have the digest that its entry names. */
export class Mismatch extends Error {}

/**
 * The record of the entry at `index`, parsed, with shared members in their places. `entryAt` fetches the bytes of an
 * entry. Answers `{entry, record, checked}`: `checked` says which digests were compared. Throws a `Mismatch`.
 */
export async function wholeRecord(index, entryAt) {
  const entry = await entryAt(index);
  const { text, first, checked } = await wholeText(index, entry, entryAt);
  const record = parseExact(text);
  for (const [name, { back, sha256 }] of Object.entries(record.shared ?? {})) {
    const at = first - back;
    const shared = await wholeText(at, await entryAt(at), entryAt);
    const value = shared.text.slice(shared.text.indexOf(VALUE) + VALUE.length, -1);
    await compare(value, sha256, `the member \`${name}\`, which it shares with entry ${at},`);
    record[name] = parseExact(value);
    checked.push(`the member ${name}, shared with other records`);
  }
  // As if it shared nothing, which is the form in which a search shows it.
  if (record.shared) {
    delete record.shared;
    record.v = 1;
  }
  return { entry, record, checked };
}

async function wholeText(index, entry, entryAt) {
  const text = decoder.decode(entry);
  const { whole } = JSON.parse(text);
  if (!whole) return { text, first: index, checked: [] };
  const pieces = [];
  for (let at = index - whole.parts; at < index; at += 1) {
    pieces.push(JSON.parse(decoder.decode(await entryAt(at))).text);
  }
  const joined = pieces.join('');
  await compare(joined, whole.sha256, `the text of its ${whole.parts} parts`);
  return { text: joined, first: index - whole.parts, checked: [`the text of its ${whole.parts} parts`] };
}

async function compare(text, expected, subject) {
  if (hex(await digest(text)) !== expected) {
    throw new Mismatch(`${subject} does not have the digest that the record names`);
  }
}
