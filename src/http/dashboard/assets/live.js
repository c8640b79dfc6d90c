// What changes all the time: the last 15 minutes, key figures, alerts and state. History comes first, then the stream.
// While the page is hidden there is no stream; once it is shown, the history fills the gap.

import { get, url } from './api.js';

const WINDOW_S = 900;
const STATUS_EVERY_MS = 5000;
const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000];

/** The newest of everything; `series` has arrays of equal length. */
export const live = {
  series: { at: [] },
  performance: null,
  alerts: null,
  status: null,
  /** `fault` of the last request for the state, or `null`. */
  fault: null,
  /** Whether the stream is open; if not, `since` is the time of the last event, or `null` before the first one. */
  connection: { isLive: false, since: null },
};

const listeners = new Set();
let source = null;
let failures = 0;
let retry = null;
let polling = null;
let isRunning = false;

/** Calls the listener with the name of the member of `live` that changed. Answers a function that ends this. */
export function follow(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(member) {
  listeners.forEach((listener) => listener(member));
}

/** The key figure of this name, or `null`. */
export function kpi(name) {
  return live.performance?.kpis.find((figure) => figure.name === name) ?? null;
}

export function startLive() {
  if (isRunning) return;
  isRunning = true;
  document.addEventListener('visibilitychange', adapt);
  adapt();
}

export function stopLive() {
  if (!isRunning) return;
  isRunning = false;
  document.removeEventListener('visibilitychange', adapt);
  pause();
}

/** Runs the stream only while somebody can see it: browsers allow few connections to a host. */
function adapt() {
  if (!isRunning || document.hidden) pause();
  else resume();
}

function pause() {
  source?.close();
  source = null;
  clearTimeout(retry);
  clearInterval(polling);
  polling = null;
}

function resume() {
  if (polling !== null) return;
  polling = setInterval(readStatus, STATUS_EVERY_MS);
  readStatus();
  connect();
}

async function readStatus() {
  try {
    live.status = await get('v1/status', {}, { cache: 'no-store' });
    live.fault = null;
  } catch (error) {
    live.fault = error;
  }
  tell('status');
}

async function connect() {
  try {
    const [history, performance, alerts] = await Promise.all([
      get('v1/performance/history', {}, { cache: 'no-store' }),
      get('v1/performance', {}, { cache: 'no-store' }),
      get('v1/alerts', {}, { cache: 'no-store' }),
    ]);
    Object.assign(live, { series: history.series, performance, alerts });
    ['series', 'performance', 'alerts'].forEach(tell);
  } catch {
    lost();
    return;
  }
  if (!isRunning || document.hidden || source !== null) return;
  source = new EventSource(url('v1/performance/stream'));
  source.addEventListener('open', () => {
    failures = 0;
    connection(true);
  });
  source.addEventListener('error', lost);
  source.addEventListener(
    'point',
    received((point) => {
      append(point);
      tell('series');
    }),
  );
  source.addEventListener(
    'performance',
    received((performance) => {
      live.performance = performance;
      tell('performance');
    }),
  );
  source.addEventListener(
    'alerts',
    received((alerts) => {
      live.alerts = alerts;
      tell('alerts');
    }),
  );
}

function received(take) {
  return (event) => {
    connection(true);
    take(JSON.parse(event.data));
  };
}

function connection(isLive) {
  const changed = live.connection.isLive !== isLive;
  live.connection = { isLive, since: isLive ? new Date() : live.connection.since };
  if (changed) tell('connection');
}

/** The browser would reconnect by itself, but not after every error, and with a gap in the series. */
function lost() {
  source?.close();
  source = null;
  connection(false);
  tell('connection');
  clearTimeout(retry);
  if (!isRunning || document.hidden) return;
  const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
  failures += 1;
  retry = setTimeout(connect, wait);
}

/** Adds a point, unless it is known already, and forgets those that are older than the window. */
function append(point) {
  const { series } = live;
  const newest = series.at.at(-1) ?? -Infinity;
  if (!(point.at > newest)) return;
  const known = series.at.length;
  for (const name of Object.keys(point)) {
    series[name] ??= Array(known).fill(null);
    series[name].push(point[name]);
  }
  const outdated = series.at.findIndex((at) => at > point.at - WINDOW_S);
  for (const values of Object.values(series)) {
    if (values.length < known + 1) values.push(null);
  }
  for (const values of Object.values(series)) values.splice(0, Math.max(0, outdated));
}
