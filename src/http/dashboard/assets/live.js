// The state that changes all the time: the last 15 minutes, key figures, alerts and checks. History comes first, then the
// stream. While the page is hidden there is no stream; once it is shown, the history fills the gap.

import { get, url } from './api.js';
import { every } from './poll.js';

const WINDOW_S = 900;
const STATUS_EVERY_MS = 5000;
const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000];
/** Points may be this much older than the newest one; with others, the daemon's clock was set back. */
const CLOCK_TOLERANCE_S = 2;

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
/** How often the stream was lost since its last event. */
let failures = 0;
let attempts = 0;
let retry = null;
let isRunning = false;
let endPolling = () => {};

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
  endPolling = every(STATUS_EVERY_MS, readStatus);
  document.addEventListener('visibilitychange', adapt);
  adapt();
}

export function stopLive() {
  if (!isRunning) return;
  isRunning = false;
  endPolling();
  document.removeEventListener('visibilitychange', adapt);
  pause();
}

/** Runs the stream only while the page is seen: browsers allow few connections to a host. */
function adapt() {
  if (document.hidden) pause();
  else if (source === null) connect();
}

function pause() {
  source?.close();
  source = null;
  attempts += 1;
  clearTimeout(retry);
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
  clearTimeout(retry);
  attempts += 1;
  const attempt = attempts;
  const answers = await Promise.all(
    ['v1/performance/history', 'v1/performance', 'v1/alerts'].map((path) => get(path, {}, { cache: 'no-store' })),
  ).catch(() => null);
  if (attempt !== attempts) return;
  if (answers === null) return void lost();
  const [history, performance, alerts] = answers;
  Object.assign(live, { series: { at: [], ...history.series }, performance, alerts });
  ['series', 'performance', 'alerts'].forEach(tell);
  source = new EventSource(url('v1/performance/stream'));
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
    failures = 0;
    connection(true);
    take(JSON.parse(event.data));
  };
}

function connection(isLive) {
  const changed = live.connection.isLive !== isLive;
  live.connection = { isLive, since: isLive ? new Date() : live.connection.since };
  if (changed || !isLive) tell('connection');
}

/**
 * The browser would reconnect by itself, but not after every error, and with a gap in the series. The daemon ends each
 * stream after ten minutes, so an interruption is told only after the first attempt to connect again has failed.
 */
function lost() {
  pause();
  if (failures > 0 || !live.connection.isLive) connection(false);
  const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
  failures += 1;
  retry = setTimeout(connect, wait);
}

/**
 * Adds a point, unless it is known already, and forgets those that are older than the window. After the clock was set
 * back, the series begins anew.
 */
export function append(point) {
  const newest = live.series.at.at(-1) ?? -Infinity;
  if (point.at < newest - CLOCK_TOLERANCE_S) live.series = { at: [] };
  else if (!(point.at > newest)) return;
  const { series } = live;
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
