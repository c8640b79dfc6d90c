// Every failure of a request is a `RequestError` with a sentence, whatever part of it fails.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cut, json, load, problem, serve } from './page.mjs';

const api = await load('api.js');
const { get, getBytes, getExact, getText, post, RequestError } = api;

async function failure(request) {
  const error = await request().then(
    () => assert.fail('the request succeeded'),
    (error) => error,
  );
  assert.ok(error instanceof RequestError, error.stack);
  return error;
}

test('a connection that is cut in the middle of an answer is no content', async () => {
  serve(() => cut());
  for (const request of [
    () => get('v1/status'),
    () => getExact('v1/status'),
    () => getText('x'),
    () => getBytes('x'),
  ]) {
    const error = await failure(request);
    assert.equal(error.status, 0);
    assert.match(error.message, /was cut/);
  }
});

test('a daemon that is not there is said to be so', async () => {
  serve(() => {
    throw new TypeError('fetch failed');
  });
  assert.match((await failure(() => get('v1/status'))).message, /cannot be reached/);
});

test('an answer that does not end in time is late, also in its body', async (t) => {
  t.mock.method(AbortSignal, 'timeout', () => AbortSignal.abort(new DOMException('too late', 'TimeoutError')));
  serve(() => cut());
  assert.match((await failure(() => getBytes('v1/audit/entries/1'))).message, /did not answer in time/);
});

test('the page of a proxy is no JSON, and its error has a sentence', async () => {
  serve(() => new Response('<html>'));
  assert.match((await failure(() => get('v1/status'))).message, /not JSON/);
  serve(() => new Response('<html>', { status: 502 }));
  const error = await failure(() => get('v1/status'));
  assert.deepEqual([error.status, error.message], [502, 'The daemon answered 502.']);
});

test('a problem document is told with its faults', async () => {
  serve(() => json({ title: 'Bad', detail: 'see', errors: [{ pointer: '/a', detail: 'is no number' }] }, 400));
  assert.equal((await failure(() => get('v1/status'))).message, 'Bad: see: /a is no number');
});

test('a token of another session is renewed once, and the request sent again', async () => {
  api.setCsrf('old');
  let renewed = 0;
  api.whenCsrfStale(async () => {
    renewed += 1;
    api.setCsrf('new');
    return true;
  });
  const sent = serve((_, { headers }) => (headers['X-CSRF-Token'] === 'new' ? json({}) : problem(403, 'csrf')));
  await post('v1/explain', {});
  assert.deepEqual([renewed, sent.length], [1, 2]);
  serve(() => problem(403, 'csrf'));
  assert.equal((await failure(() => post('v1/explain', {}))).status, 403);
  assert.equal(renewed, 2);
  serve(() => problem(403, 'forbidden'));
  await failure(() => post('v1/explain', {}));
  assert.equal(renewed, 2, 'a missing scope has nothing to do with the token');
});

test('of another user in the same browser, nothing is sent again', async () => {
  api.whenCsrfStale(async () => false);
  const sent = serve(() => problem(403, 'csrf'));
  assert.equal((await failure(() => post('v1/explain', {}))).status, 403);
  assert.equal(sent.length, 1);
});

test('an end of the session is told, unless the request asked about it', async () => {
  let told = 0;
  api.whenUnauthenticated(() => {
    told += 1;
  });
  serve(() => problem(401, 'unauthenticated'));
  await failure(() => get('v1/auth/session', {}, { isQuiet: true }));
  assert.equal(told, 0);
  await failure(() => get('v1/status'));
  assert.equal(told, 1);
});
