// The journeys of the browser test through failures: of requests, of proofs, and of the session.

import { decided, denied, open, signIn, until } from './steps.mjs';

const problem = (status) => ({
  status,
  contentType: 'application/problem+json',
  body: JSON.stringify({ type: '/problems/test', title: 'Not now', status }),
});

/** Requests that fail are no tampering, and the record is shown as far as it is known. */
export async function unproven({ tab, page, check, ...tools }) {
  await signIn({ tab, page, ...tools });
  const id = await decided({ tab, check }, denied(`unproven-${Date.now()}`));
  const show = async () => {
    await tab.goto('about:blank');
    await tab.goto(`${page}#decisions?record=${id}`);
    await tab.waitForSelector('#record .verification');
    return tab.textContent('.verification');
  };
  await tab.route(/\/proof$/, (route) => route.fulfill(problem(503)));
  const unverified = await show();
  check('a proof that cannot be had is said', /Not verified: Not now/.test(unverified), unverified);
  check('the record is shown all the same', /human-oversight/.test(await tab.textContent('#record')));
  await tab.unroute(/\/proof$/);
  await tab.click('text=Verify it again');
  await tab.waitForSelector('.verification-partial, .verification-ok');
  check('it is verified again', true);

  // The checkpoint must be a later one than the page has seen, or it asks for no proof that one continues the other.
  const signed = async () => (await (await fetch('../v1/status')).json()).audit.checkpoint.size;
  const seen = await tab.evaluate(signed);
  await decided({ tab, check }, denied(`unproven-${Date.now()}`));
  await until(
    tab,
    async (before) => (await (await fetch('../v1/status')).json()).audit.checkpoint.size > before,
    seen,
  );
  await tab.route(/\/v1\/audit\/consistency/, (route) => route.fulfill(problem(429)));
  const limited = await show();
  check('a limit on requests is no rewritten log', /could not be checked now/.test(limited), limited);
  check('nor does it fail', await tab.isVisible('.verification-partial'), limited);
  await tab.unroute(/\/v1\/audit\/consistency/);

  const { left, top } = await tab.evaluate(() => {
    const { left: x, top: y } = document.getElementById('record').getBoundingClientRect();
    return { left: x, top: y };
  });
  await tab.mouse.click(left + 6, top + 300);
  check('a click between two sections keeps the record open', await tab.isVisible('#record'));
  await tab.mouse.click(left - 50, top + 300);
  await tab.waitForSelector('#record', { state: 'hidden' });
  check('a click beside the record closes it', !tab.url().includes('record='), tab.url());
}

/** Sessions that end, and that another tab replaced. */
export async function endings({ tab, page, context, check, ...tools }) {
  await signIn({ tab, page, ...tools });
  const id = await decided({ tab, check }, denied(`endings-${Date.now()}`));
  await tab.goto(`${page}#decisions?record=${id}`);
  await tab.waitForSelector('#record .verification');
  await context.clearCookies();
  await tab.waitForSelector('#sign-in:not([hidden])');
  await tab.waitForSelector('#sign-in-fault:not(:empty)');
  check('the end of a session is said', /ended/.test(await tab.textContent('#sign-in-fault')));
  check('the focus is in the form', await tab.evaluate(() => document.activeElement.name === 'username'));
  await tab.fill('[name=username]', tools.user);
  await tab.fill('[name=password]', tools.password);
  await tab.click('#sign-in-submit');
  await tab.waitForSelector('#record[open] .verification');
  check('after signing in, the record is open again', true);
  await tab.keyboard.press('Escape');

  await open({ tab, page }, 'try');
  const other = await context.newPage();
  await other.goto(page);
  await other.click('#sign-out');
  await signIn({ tab: other, page, ...tools });
  await other.close();
  await tab.click('button:has-text("Ask")');
  await tab.waitForSelector('.explanation');
  check('a sign-in in another tab does not disturb', true);
  check('the focus is at the answer', await tab.evaluate(() => document.activeElement.textContent === 'Answer'));
}
