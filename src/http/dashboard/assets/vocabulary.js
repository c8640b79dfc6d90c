// Names that questions can use: those that the constitution in force declares, in recent decisions and, for ids, in
// stored entities.

import { get } from './api.js';
import { has, session } from './session.js';

const NAME = '[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*';
const UID = new RegExp(`\\b(${NAME})::"([^"\\\\]*)"`, 'g');
const TYPE = new RegExp(`\\b(?:principal|resource)\\s+is\\s+(${NAME})`, 'g');

/**
 * `{actions, subjectTypes, resourceTypes, entities}`: names of actions and types, and `Type::id` of entities, each
 * sorted.
 */
export async function vocabulary() {
  const sources = [fromSchema().catch(fromPolicies), has('audit:read') ? fromDecisions() : none()];
  const found = await Promise.all(sources.map((source) => source.catch(none)));
  const merged = (member) => [...new Set(found.flatMap((part) => part[member] ?? []))].sort();
  return {
    actions: merged('actions'),
    subjectTypes: merged('subjectTypes'),
    resourceTypes: merged('resourceTypes'),
    entities: merged('entities'),
  };
}

/** The names that the constitution declares, from the JSON Schema of questions. */
async function fromSchema() {
  const { properties } = await get('v1/schema');
  return {
    actions: properties.action.properties.name.enum,
    subjectTypes: properties.subject.properties.type.enum,
    resourceTypes: properties.resource.properties.type.enum,
  };
}

async function none() {
  return {};
}

/** The names in the policies, for a daemon that does not serve the schema. */
async function fromPolicies() {
  const { items } = await get('v1/constitution/policies', { limit: 1000 });
  return namesIn(items.map(({ text }) => text).join('\n'));
}

/** The names in the text of policies. */
function namesIn(text) {
  const uids = [...text.matchAll(UID)].map(([, type, id]) => ({ type, id }));
  const isAction = ({ type }) => type === 'Action' || type.endsWith('::Action');
  const entities = uids.filter((uid) => !isAction(uid));
  const types = [...[...text.matchAll(TYPE)].map(([, type]) => type), ...entities.map(({ type }) => type)];
  return {
    actions: uids.filter(isAction).map(({ id }) => id),
    subjectTypes: types,
    resourceTypes: types,
    entities: entities.map(({ type, id }) => `${type}::${id}`),
  };
}

const idsByType = new Map();
/** The session that the ids were read in: another user may see others. */
let reader = null;

/** The ids of a type: those of stored entities, and those in `uids`. */
export async function idsOf(type, uids) {
  if (reader !== session()) {
    reader = session();
    idsByType.clear();
  }
  if (!idsByType.has(type)) idsByType.set(type, has('entities:read') ? storedIds(type) : []);
  const known = uids.filter((uid) => uid.startsWith(`${type}::`)).map((uid) => uid.slice(type.length + 2));
  return [...new Set([...known, ...(await idsByType.get(type))])].sort();
}

async function storedIds(type) {
  try {
    const { items } = await get('v1/entities', { type, limit: 200 });
    return items.map(({ uid }) => uid.id);
  } catch {
    // They are asked for again the next time.
    idsByType.delete(type);
    return [];
  }
}

async function fromDecisions() {
  const { items } = await get('v1/audit/entries', { kind: 'decision', limit: 200 });
  const records = items.map(({ record }) => record).filter(Boolean);
  // Names that the constitution does not declare are no vocabulary.
  const sound = records.filter(({ reason }) => !['unknown_type', 'unknown_action', 'invalid_request'].includes(reason));
  const typesOf = (member) => sound.map((record) => record[member]?.type).filter(Boolean);
  const uids = sound.flatMap(({ subject, resource }) => [subject, resource]).filter((uid) => uid?.type);
  return {
    actions: sound.map(({ action }) => action?.name).filter(Boolean),
    subjectTypes: typesOf('subject'),
    resourceTypes: typesOf('resource'),
    entities: uids.map(({ type, id }) => `${type}::${id}`),
  };
}
