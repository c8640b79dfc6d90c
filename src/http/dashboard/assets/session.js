// Signing in and out, and which parts the scopes of the user allow.

import { get, post, remove, setCsrf, whenUnauthenticated } from './api.js';
import { byId, fill, setText, symbol, whileBusy } from './dom.js';

let current = null;
let onChange = () => {};

/** Who is signed in: `{user, scopes}`, or `null`. */
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
  setCsrf(next?.csrf ?? null);
  byId('sign-in').hidden = next !== null;
  byId('app').hidden = next === null;
  byId('sign-out').hidden = !next?.user;
  byId('offer-sign-in').hidden = next === null || next.user !== null;
  setText(byId('who'), next === null ? '' : (next.user ?? 'not signed in, read only'));
  onChange(next);
}

/** Finds out who is signed in, and follows the controls. `listener` gets each new session, or `null`. */
export async function startSession(listener) {
  onChange = listener;
  whenUnauthenticated(() => {
    if (current !== null) expire();
  });
  byId('sign-in-form').addEventListener('submit', signIn);
  byId('sign-out').addEventListener('click', signOut);
  byId('offer-sign-in').addEventListener('click', () => become(null));
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

function expire() {
  become(null);
  say('Your session has ended. Sign in again.');
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
    if (current === null) byId('sign-in-form').elements.username.focus();
  } catch (error) {
    if (error.status !== 401) setText(byId('who'), `not signed out: ${error.message}`);
  }
}
