// Reads a record whole: a large one is in parts before its head, and records of a batch share large members. The entry
// that is proven has the digests of those, so they are verified against it.

import { parseExact } from './json.js';
import { digest, hex } from './merkle.js';

const decoder = new TextDecoder('utf-8', { fatal: true });
const VALUE = ',"value":';

/** Thrown if the content of an entry is no record, or does not have the digest that the record names. */
export class Mismatch extends Error {}

/**
 * The record of the entry at `index`, parsed, with shared members in their places. `entryAt` fetches the bytes of an
 * entry. Answers `{entry, record, checked}`: `checked` says which digests were compared. Throws a `Mismatch`, or the
 * error of `entryAt`.
 */
export async function wholeRecord(index, entryAt) {
  const entry = await entryAt(index);
  const { text, first, checked } = await wholeText(index, entry, entryAt);
  const record = objectOf(text, index);
  for (const [name, place] of Object.entries(record.shared ?? {})) {
    const { back, sha256 } = place ?? {};
    if (!isCount(back) || back > first)
      throw new Mismatch(`the place of the member \`${name}\` is none before the record`);
    const at = first - back;
    const shared = await wholeText(at, await entryAt(at), entryAt);
    const value = shared.text.slice(shared.text.indexOf(VALUE) + VALUE.length, -1);
    await compare(value, sha256, `the member \`${name}\`, which it shares with entry ${at},`);
    record[name] = parsed(value, at);
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
  const text = textOf(entry, index);
  const { whole } = objectOf(text, index);
  if (!whole) return { text, first: index, checked: [] };
  const { parts, sha256 } = whole;
  if (!isCount(parts) || parts > index)
    throw new Mismatch('the number of its parts is none of entries before the record');
  const pieces = [];
  for (let at = index - parts; at < index; at += 1) pieces.push(objectOf(textOf(await entryAt(at), at), at).text);
  const joined = pieces.join('');
  await compare(joined, sha256, `the text of its ${parts} parts`);
  return { text: joined, first: index - parts, checked: [`the text of its ${parts} parts`] };
}

const isCount = (value) => Number.isSafeInteger(value) && value > 0;

function textOf(entry, at) {
  try {
    return decoder.decode(entry);
  } catch {
    throw new Mismatch(`entry ${at} is not text in UTF-8`);
  }
}

function parsed(text, at) {
  try {
    return parseExact(text);
  } catch (error) {
    throw new Mismatch(`entry ${at} is not JSON: ${error.message}`);
  }
}

function objectOf(text, at) {
  const value = parsed(text, at);
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Mismatch(`entry ${at} is no record`);
  return value;
}

async function compare(text, expected, subject) {
  if (hex(await digest(text)) !== expected) {
    throw new Mismatch(`${subject} does not have the digest that the record names`);
  }
}
