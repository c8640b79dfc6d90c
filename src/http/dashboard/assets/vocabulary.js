// Names that questions can use: from the constitution's schema if the daemon serves it, otherwise from recent decisions
// and, for ids, from stored entities.

import { get } from './api.js';
import { has } from './session.js';

/** `{actions, types, entities}`: names of actions and types, and uids of entities, each sorted. */
export async function vocabulary() {
  const sources = [fromSchema(), has('audit:read') ? fromDecisions() : none()];
  const found = await Promise.all(sources.map((source) => source.catch(none)));
  const merged = (member) => [...new Set(found.flatMap((part) => part[member] ?? []))].sort();
  return { actions: merged('actions'), types: merged('types'), entities: merged('entities') };
}

async function none() {
  return {};
}

async function fromSchema() {
  const schema = await get('v1/schema');
  return { actions: names(schema.actions), types: names(schema.types ?? schema.entity_types) };
}

function names(value) {
  if (Array.isArray(value)) return value.map((item) => (typeof item === 'string' ? item : item.name)).filter(Boolean);
  return value && typeof value === 'object' ? Object.keys(value) : [];
}

const idsByType = new Map();

/** The ids of a type: those of stored entities, and those in `uids`. */
export async function idsOf(type, uids) {
  if (!idsByType.has(type)) idsByType.set(type, has('entities:read') ? storedIds(type).catch(() => []) : []);
  const known = uids.filter((uid) => uid.startsWith(`${type}::`)).map((uid) => uid.slice(type.length + 2));
  return [...new Set([...known, ...(await idsByType.get(type))])].sort();
}

async function storedIds(type) {
  const { items } = await get('v1/entities', { type, limit: 200 });
  return items.map(({ uid }) => uid.id);
}

async function fromDecisions() {
  const { items } = await get('v1/audit/entries', { kind: 'decision', limit: 200 });
  const records = items.map(({ record }) => record).filter(Boolean);
  const uids = records.flatMap(({ subject, resource }) => [subject, resource]).filter((uid) => uid?.type);
  return {
    actions: records.map(({ action }) => action?.name).filter(Boolean),
    types: uids.map(({ type }) => type),
    entities: uids.map(({ type, id }) => `${type}::${id}`),
  };
}
