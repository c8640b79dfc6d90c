// Polls do not overlap, and rest while the page is hidden.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './page.mjs';

const { every } = await load('poll.js');
/** Lets all promises that are ready continue. */
const settled = () => new Promise(setImmediate);

/** Timers that a test makes due. */
const timers = { now: 0, set: new Map() };
globalThis.setTimeout = (run, ms) => {
  const timer = Symbol('timer');
  timers.set.set(timer, { run, at: timers.now + ms });
  return timer;
};
globalThis.clearTimeout = (timer) => timers.set.delete(timer);

function tick(ms) {
  timers.now += ms;
  for (const [timer, { run, at }] of [...timers.set]) {
    if (at <= timers.now && timers.set.delete(timer)) run();
  }
}

function show(isShown) {
  document.hidden = !isShown;
  document.dispatchEvent(new Event('visibilitychange'));
}

test('a run begins at once, and the next one only after its end', async () => {
  const ends = [];
  const end = every(5000, () => new Promise((done) => ends.push(done)));
  tick(20_000);
  assert.equal(ends.length, 1);
  ends[0]();
  await settled();
  tick(4999);
  assert.equal(ends.length, 1);
  tick(1);
  assert.equal(ends.length, 2);
  end();
  ends[1]();
  await settled();
  tick(20_000);
  assert.equal(ends.length, 2);
});

test('nothing runs while the page is hidden; when it is shown again, what is due runs at once', async () => {
  let runs = 0;
  const end = every(5000, async () => {
    runs += 1;
  });
  await settled();
  show(false);
  tick(60_000);
  assert.equal(runs, 1);
  show(true);
  assert.equal(runs, 2);
  await settled();
  show(false);
  show(true);
  assert.equal(runs, 2, 'what is not due does not run');
  end();
  show(true);
  assert.equal(runs, 2);
});
