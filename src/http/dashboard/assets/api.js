// Requests to the daemon. Addresses are relative to the page, so that it works below any prefix of a URL.

import { parseExact } from './json.js';

const ROOT = new URL('../', document.baseURI);
const TIMEOUT_MS = 20_000;

let csrf = null;
let onUnauthenticated = () => {};

/** The token that requests other than GET carry; it belongs to the session. */
export function setCsrf(token) {
  csrf = token;
}

/** Called whenever an answer says that nobody is signed in. */
export function whenUnauthenticated(listener) {
  onUnauthenticated = listener;
}

/** The address of a route of the daemon: `url('v1/status')`. */
export function url(path, query = {}) {
  const address = new URL(path.replace(/^\//, ''), ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') address.searchParams.set(name, value);
  }
  return address;
}

/** An answer other than a success. `status` is 0 if the daemon could not be reached. */
export class RequestError extends Error {
  constructor(message, status, problem = null) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

async function request(method, path, { query, body, headers = {}, cache = 'default', isQuiet = false } = {}) {
  const isWrite = method !== 'GET';
  const options = { method, headers: { Accept: 'application/json', ...headers }, credentials: 'same-origin', cache };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = typeof body === 'string' ? body : JSON.stringify(body);
  }
  if (isWrite && csrf) options.headers['X-CSRF-Token'] = csrf;
  options.signal = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(url(path, query), options);
  } catch (error) {
    const late = error.name === 'TimeoutError';
    throw new RequestError(late ? 'The daemon did not answer in time.' : 'The daemon cannot be reached.', 0);
  }
  if (response.ok) return response;
  const error = await problemOf(response);
  if (error.status === 401 && !isQuiet) onUnauthenticated();
  throw error;
}

async function problemOf(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // An answer of a proxy has no problem document.
  }
  const faults = (problem?.errors ?? []).map((fault) => [fault.pointer, fault.detail].filter(Boolean).join(' '));
  const text = [problem?.title, problem?.detail, ...faults].filter(Boolean).join(': ');
  return new RequestError(text || `The daemon answered ${response.status}.`, response.status, problem);
}

/** GET, answered as JSON. */
export async function get(path, query, options = {}) {
  return (await request('GET', path, { query, ...options })).json();
}

/** GET, answered as JSON whose integers keep all digits. */
export async function getExact(path, query) {
  return parseExact(await (await request('GET', path, { query })).text());
}

/** GET, answered as text. */
export async function getText(path, options = {}) {
  return (await request('GET', path, { headers: { Accept: '*/*' }, cache: 'no-store', ...options })).text();
}

/** GET, answered as the bytes that the daemon has now, not those that the browser kept. */
export async function getBytes(path) {
  const response = await request('GET', path, { headers: { Accept: '*/*' }, cache: 'no-store' });
  return new Uint8Array(await response.arrayBuffer());
}

/** POST with a JSON body, which may be text already; answers JSON, or `null` for an answer without content. */
export async function post(path, body, options = {}) {
  const response = await request('POST', path, { body, ...options });
  return response.status === 204 ? null : response.json();
}

export async function remove(path) {
  await request('DELETE', path);
}
