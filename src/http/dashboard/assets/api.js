// Requests to the daemon. Addresses are relative to the page, so that it works below any prefix of a URL.

import { parseExact } from './json.js';

const ROOT = new URL('../', document.baseURI);
const TIMEOUT_MS = 20_000;

let csrf = null;
let onUnauthenticated = () => {};
let renewCsrf = async () => false;

/** The token that requests other than GET carry; it belongs to the session. */
export function setCsrf(token) {
  csrf = token;
}

/** Called whenever an answer says that no user is signed in. */
export function whenUnauthenticated(listener) {
  onUnauthenticated = listener;
}

/** Called when the token is not that of the session; answers whether there is a new one for the same user. */
export function whenCsrfStale(renew) {
  renewCsrf = renew;
}

/** The address of a route of the daemon: `url('v1/status')`. */
export function url(path, query = {}) {
  const address = new URL(path.replace(/^\//, ''), ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') address.searchParams.set(name, value);
  }
  return address;
}

/** An answer other than a success. `status` is 0 if no whole answer came from the daemon. */
export class RequestError extends Error {
  constructor(message, status, problem = null) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

const json = async (response) => JSON.parse(await response.text());
const exactJson = async (response) => parseExact(await response.text());
const text = (response) => response.text();
const bytes = async (response) => new Uint8Array(await response.arrayBuffer());

/** Sends a request, and reads the answer with `read`. Every failure is a `RequestError`. */
async function request(method, path, read, options = {}) {
  try {
    return await attempt(method, path, read, options);
  } catch (error) {
    // A sign-in in another tab makes another session, with a token of its own.
    const isStale = error.status === 403 && error.problem?.type?.endsWith('/csrf');
    if (!isStale || !(await renewCsrf())) throw error;
    return attempt(method, path, read, options);
  }
}

async function attempt(method, path, read, { query, body, headers = {}, cache = 'default', isQuiet = false }) {
  const options = { method, headers: { Accept: 'application/json', ...headers }, credentials: 'same-origin', cache };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = typeof body === 'string' ? body : JSON.stringify(body);
  }
  if (method !== 'GET' && csrf) options.headers['X-CSRF-Token'] = csrf;
  // It also ends a body that does not arrive.
  options.signal = AbortSignal.timeout(TIMEOUT_MS);
  let response = null;
  try {
    response = await fetch(url(path, query), options);
    if (response.ok) return await read(response);
  } catch (error) {
    throw new RequestError(failure(error, response, options.signal), 0);
  }
  const error = await problemOf(response);
  if (error.status === 401 && !isQuiet) onUnauthenticated();
  throw error;
}

function failure(error, response, signal) {
  if (signal.aborted) return 'The daemon did not answer in time.';
  if (error instanceof SyntaxError) return `The answer is not JSON: ${error.message}`;
  return response
    ? 'The connection to the daemon was cut in the middle of an answer.'
    : 'The daemon cannot be reached.';
}

async function problemOf(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // An answer of a proxy has no problem document.
  }
  const faults = (problem?.errors ?? []).map((fault) => [fault.pointer, fault.detail].filter(Boolean).join(' '));
  const words = [problem?.title, problem?.detail, ...faults].filter(Boolean).join(': ');
  return new RequestError(words || `The daemon answered ${response.status}.`, response.status, problem);
}

/** GET, answered as JSON. */
export function get(path, query, options = {}) {
  return request('GET', path, json, { query, ...options });
}

/** GET, answered as JSON whose integers keep all digits. */
export function getExact(path, query) {
  return request('GET', path, exactJson, { query });
}

/** GET, answered as text. */
export function getText(path) {
  return request('GET', path, text, { headers: { Accept: '*/*' }, cache: 'no-store' });
}

/** GET, answered as the bytes that the daemon has now, not those that the browser kept. */
export function getBytes(path) {
  return request('GET', path, bytes, { headers: { Accept: '*/*' }, cache: 'no-store' });
}

/** POST with a JSON body, which may be text already; answers JSON. */
export function post(path, body, options = {}) {
  return request('POST', path, json, { body, ...options });
}

export function remove(path) {
  return request('DELETE', path, async () => {});
}
