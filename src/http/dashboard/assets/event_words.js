// Events of the audit log other than decisions, in words.

import { el } from './dom.js';
import { count, duration, entityName, words } from './format.js';
import { withRecord } from './router.js';

/** Callers that the daemon names itself. */
export function callerName(caller) {
  if (caller === 'acgs') return 'acgs (the daemon itself)';
  if (caller === 'anonymous') return 'anonymous (not authenticated)';
  return caller;
}

const REFUSED = {
  login_refused: 'was refused a login',
  credential_refused: 'was refused for its credential',
  scope_refused: 'was refused for its scopes',
  refusal: 'was refused',
  locked: 'has to wait after wrong passwords',
};

const VERBS = {
  written: 'wrote',
  deleted: 'deleted',
  activated: 'put into force',
  reloaded: 'put into force',
  refused: 'was refused',
  cleared: 'emptied',
};

/** The event in words, with what it was about: a sentence without its subject, as text or nodes. */
export function eventSentence(record) {
  const { kind, event } = record;
  const subject = subjectOf(record);
  if (kind === 'start') return `started the daemon ${record.version ?? ''}`.trim();
  if (kind === 'stop') return 'stopped the daemon';
  if (kind === 'settings') return event === 'log_level' ? logLevel(record) : 'put settings into force';
  if (kind === 'compliance' && record.decision_id) return disagreement(record);
  if (kind === 'alert') return alertEvent(record);
  if (kind === 'bench') return `ran the benchmark ${record.run}: ${record.conclusion}`;
  if (REFUSED[event]) return refusal(record);
  // `user_added` → `added the user`
  const parts = /^(.*)_(added|removed|changed|revoked|rotated|made)$/.exec(event ?? '');
  const what = parts ? `${parts[2]} the ${words(parts[1])}` : (VERBS[event] ?? words(event ?? kind));
  const parents = record.entity?.parents ?? [];
  const groups = parents.length > 0 ? `, in ${parents.map(entityName).join(', ')}` : '';
  return subject ? `${what} ${subject}${groups}` : what;
}

function logLevel({ level, for_s: seconds }) {
  return `changed the log level to ${level}${seconds ? ` for ${duration(seconds)}` : ''}`;
}

function disagreement({ decision_id: id, answered, evaluated }) {
  const verdict = ({ decision, reason } = {}) => `${decision ? 'permit' : 'deny'} (${words(reason)})`;
  const text = `answered ${verdict(answered)}, but a fresh evaluation gave ${verdict(evaluated)}, for `;
  return [text, el('a', { href: withRecord(id) }, 'this decision')];
}

function subjectOf(record) {
  const { resource, hash, old_hash: old } = record;
  if (resource && typeof resource === 'object') return entityName(resource);
  if (hash) return old && old !== hash ? `${old} → ${hash}` : hash;
  const named = ['user', 'name', 'client', 'key', 'purpose', 'tiers', 'why', 'reason'].find(
    (member) => record[member] !== undefined,
  );
  if (!named) return '';
  const value = record[named];
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function alertEvent({ event, alert, severity, value, condition }) {
  const figure = typeof value === 'number' ? count(Math.round(value * 1000) / 1000) : value;
  const now = value === undefined || value === null ? '' : `, at ${figure}`;
  return event === 'resolved' ? `${alert} ended${now}` : `${alert} fired (${severity}: ${condition}${now})`;
}

function refusal({ event, user, name, address, method, path, why, left_out: more = 0 }) {
  const who = user ?? name;
  const parts = [
    REFUSED[event],
    who ? `as ${who}` : null,
    address ? `from ${address}` : null,
    path ? `at ${method} ${path}` : null,
  ];
  const cause = why ? `: ${why}` : '';
  const others = more > 0 ? `; ${count(more)} more like it were not recorded` : '';
  return parts.filter(Boolean).join(' ') + cause + others;
}
