// Signing in and out, and which parts the scopes of the user allow.

import { get, post, remove, setCsrf, whenCsrfStale, whenUnauthenticated } from './api.js';
import { byId, fill, setText, symbol, whileBusy } from './dom.js';

let current = null;
let onChange = () => {};
/** The session without a user that the sign-in form was opened from, where the dashboard is open. */
let readOnly = null;

/** The session of the page: `{user, scopes}`, or `null`. */
export function session() {
  return current;
}

export function has(scope) {
  return current?.scopes.includes(scope) ?? false;
}

/** A sentence for a part that the user may not see. */
export function missingScope(scopes, part) {
  const names = scopes.map((scope) => `\`${scope}\``).join(' or ');
  const who = current?.user ? `${current.user} does not have it` : 'sign in as a user who has it';
  return `${part} need${part.endsWith('s') ? '' : 's'} the scope ${names}; ${who}.`;
}

function become(next) {
  current = next;
  if (next !== null) readOnly = null;
  setCsrf(next?.csrf ?? null);
  byId('sign-in').hidden = next !== null;
  byId('app').hidden = next === null;
  byId('sign-out').hidden = !next?.user;
  byId('offer-sign-in').hidden = next === null || next.user !== null;
  byId('read-only').hidden = readOnly === null;
  setText(byId('who'), next === null ? '' : (next.user ?? 'not signed in, read only'));
  onChange(next);
}

/** Reads the session, and follows the controls. `listener` gets each new session, or `null`. */
export async function startSession(listener) {
  onChange = listener;
  whenUnauthenticated(expire);
  whenCsrfStale(renew);
  byId('sign-in-form').addEventListener('submit', signIn);
  byId('sign-out').addEventListener('click', signOut);
  byId('offer-sign-in').addEventListener('click', offer);
  byId('read-only').addEventListener('click', () => {
    become(readOnly);
    byId('content').focus({ preventScroll: true });
  });
  try {
    become(await read());
  } catch (error) {
    become(null);
    say(error.message);
  }
}

/** The session of the browser; where the dashboard is open, one without a user; `null` if there is none. */
async function read() {
  try {
    return await get('v1/auth/session', {}, { isQuiet: true, cache: 'no-store' });
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

const isSame = (one, other) => one?.user === other?.user && String(one?.scopes) === String(other?.scopes);

/** Shows the session that the browser has now; answers whether it is of the same user, who may then go on. */
async function renew() {
  const known = current;
  const next = await read().catch(() => null);
  if (current !== known || next === null) return false;
  if (isSame(next, known)) setCsrf(next.csrf);
  else become(next);
  return isSame(next, known);
}

/** A session has ended. Where the dashboard is open, reading goes on. */
async function expire() {
  const ended = current;
  if (ended === null) return;
  const next = await read().catch(() => null);
  // Several requests may find the same end.
  if (current !== ended) return;
  if (next !== null && isSame(next, ended)) return void setCsrf(next.csrf);
  become(next);
  if (next !== null) return;
  say('Your session has ended. Sign in again.');
  focusName();
}

function offer() {
  readOnly = current;
  become(null);
  say('');
  focusName();
}

function focusName() {
  byId('sign-in-form').elements.username.focus();
}

function say(message) {
  fill(byId('sign-in-fault'), message ? [symbol('✕'), ` ${message}`] : []);
}

function signIn(event) {
  event.preventDefault();
  whileBusy(byId('sign-in-submit'), () => submit(event.target));
}

async function submit(form) {
  const { username, password, code } = Object.fromEntries(new FormData(form));
  say('');
  try {
    const next = await post('v1/auth/session', { username, password, ...(code ? { code } : {}) }, { isQuiet: true });
    form.reset();
    become(next);
    byId('content').focus({ preventScroll: true });
  } catch (error) {
    say(explain(error));
    form.elements.password.focus();
  }
}

function explain(error) {
  return error.status === 401
    ? 'The name, the password or the code is wrong. With a second factor, each login needs a new code.'
    : error.message;
}

async function signOut() {
  try {
    await remove('v1/auth/session');
    say('');
    become(await read());
    if (current === null) focusName();
  } catch (error) {
    if (error.status !== 401) setText(byId('who'), `not signed out: ${error.message}`);
  }
}
