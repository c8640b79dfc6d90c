// Tests the dashboard of a running daemon in Chromium, as a user with all scopes, and makes a few decisions for it.
//
//   mkdir browser && cd browser && npm install playwright-core axe-core
//   node …/tests/dashboard/browser.mjs URL USER PASSWORD [PUBLIC-KEY-OF-THE-LOG]
//
// The packages are taken from the working directory; Chromium is `$CHROMIUM`, or Debian's /usr/bin/chromium. The key is
// what `acgs audit vkey` prints; without it signatures are not tested. `SCREENSHOTS=FOLDER` keeps pictures. Prints what
// was checked; exits with 1 if anything is wrong.

import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { endings, unproven } from './failure_journeys.mjs';
import { isolation, keyboard, liveness, partsIn, session, trial } from './journeys.mjs';
import { records, tampering } from './record_journeys.mjs';

const require = createRequire(join(process.cwd(), 'package.json'));
const { chromium } = require('playwright-core');
const axe = require('axe-core').source;

const [base, user, password, vkey] = process.argv.slice(2);
if (!password) {
  console.error('usage: browser.mjs URL USER PASSWORD [PUBLIC-KEY-OF-THE-LOG]');
  process.exit(2);
}
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const SCREENS = {
  light: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true },
  // 200 % of a window of 1280 × 800.
  zoom: { viewport: { width: 640, height: 400 }, colorScheme: 'dark', deviceScaleFactor: 2 },
};
const pictures = process.env.SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });

let failures = 0;
let checks = 0;

/** Prints the outcome of a check. */
function check(name, isRight, detail = '') {
  checks += 1;
  if (!isRight) failures += 1;
  console.log(`${isRight ? 'ok    ' : 'FAILED'} ${name}${isRight || !detail ? '' : `: ${detail}`}`);
}

/** A page whose console, exceptions and requests are watched. */
async function watched(browser, screen, expected = []) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...screen });
  const page = await context.newPage();
  const seen = { errors: [], hosts: new Set(), dialogs: 0 };
  page.on('console', (message) => {
    const isError = ['error', 'warning'].includes(message.type());
    const text = `${message.text()} ${message.location().url}`;
    // The browser itself logs answers that the page expects: no user is signed in yet, or the daemon has no schema.
    const isKnown = /401 .*\/v1\/auth\/session|404 .*\/v1\/schema/.test(text);
    const isExpected = isKnown || expected.some((pattern) => pattern.test(text));
    if (isError && !isExpected) seen.errors.push(text);
  });
  page.on('pageerror', (error) => seen.errors.push(error.stack));
  page.on('dialog', (dialog) => {
    seen.dialogs += 1;
    dialog.dismiss();
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol)) seen.hosts.add(url.host);
  });
  return { page, context, seen };
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  const root = base.replace(/\/$/, '');
  const tools = { base: root, page: `${root}/dashboard/`, user, password, vkey, axe, check };
  // A dialog is as high as the window.
  tools.picture = async (page, name) =>
    pictures && page.screenshot({ path: join(pictures, `${name}.png`), fullPage: !(await page.isVisible('#record')) });
  const run = async (name, screen, journey, expected) => {
    const { page, context, seen } = await watched(browser, screen, expected);
    try {
      await journey({ ...tools, tab: page, context, name });
    } catch (error) {
      check(`${name}: runs to its end`, false, error.message);
      await tools.picture(page, `${name}-failed`);
    }
    check(`${name}: no error in the console`, seen.errors.length === 0, seen.errors.join('\n'));
    check(
      `${name}: no request to another host`,
      [...seen.hosts].every((host) => host === new URL(root).host),
      [...seen.hosts].join(', '),
    );
    check(`${name}: nothing of a record was executed`, seen.dialogs === 0);
    await context.close();
  };
  try {
    await run('session', SCREENS.light, session, [/401/, /403/, /429/]);
    for (const [name, screen] of Object.entries(SCREENS)) await run(name, screen, partsIn);
    await run('live', SCREENS.light, liveness, [/performance/, /ERR_FAILED/]);
    await run('records', SCREENS.light, records);
    await run('tampering', SCREENS.light, tampering);
    await run('unproven', SCREENS.light, unproven, [/503/, /429/]);
    await run('endings', SCREENS.light, endings, [/401/, /403/]);
    await run('try', SCREENS.light, trial);
    await run('keyboard', SCREENS.light, keyboard);
    await run('isolation', SCREENS.light, isolation);
  } finally {
    await browser.close();
  }
  console.log(`${checks} checks, ${failures} failed`);
  process.exitCode = failures > 0 ? 1 : 0;
}

await main();
