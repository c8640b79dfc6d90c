// The journeys of the browser test on the page. Each gets the page and a `check`.

import { accessible, decided, denied, fits, harmless, INJECTION, open, signIn, until } from './steps.mjs';

const PARTS = ['live', 'decisions', 'denials', 'operations', 'try'];

/** Headers, redirects, wrong and right credentials, and the end of a session. */
export async function session({ tab, page, base, context, user, password, check }) {
  const answer = await tab.goto(`${base}/`);
  check('the address of the daemon leads a browser to the dashboard', new URL(tab.url()).href === page, tab.url());
  const policy = answer.headers()['content-security-policy'] ?? '';
  check(
    "the content security policy allows nothing but the daemon's own files",
    policy.includes("default-src 'none'") && !policy.includes('unsafe'),
    policy,
  );
  await tab.waitForSelector('#sign-in:not([hidden])');
  await tab.fill('[name=username]', user);
  await tab.fill('[name=password]', `${password}-wrong`);
  await tab.click('#sign-in-submit');
  await tab.waitForSelector('#sign-in-fault:not(:empty)');
  check('wrong credentials are refused in words', /wrong|again/.test(await tab.textContent('#sign-in-fault')));
  await tab.fill('[name=password]', password);
  await tab.click('#sign-in-submit');
  await tab.waitForSelector('#app:not([hidden])');
  const cookies = (await context.cookies()).filter(({ name }) => name === 'acgs_session');
  check(
    'the session is in an HttpOnly, SameSite=Strict cookie',
    cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === 'Strict',
    JSON.stringify(cookies),
  );
  const kept = await tab.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  check('scripts keep no credential', !kept.includes('eyJ') && !kept.includes('acgs_session'), kept);
  const forged = await tab.evaluate(
    async () =>
      (
        await fetch('../access/v1/evaluation', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: '{}',
        })
      ).status,
  );
  check('a write without the CSRF token is refused', forged === 403, String(forged));
  await tab.reload();
  await tab.waitForSelector('#app:not([hidden])');
  check('the session survives a reload', true);
  await tab.click('#sign-out');
  await tab.waitForSelector('#sign-in:not([hidden])');
  const status = await tab.evaluate(async () => (await fetch('../v1/status')).status);
  check('after signing out, the routes are closed', status === 401, String(status));
}

/** Every part on one kind of screen. */
export async function partsIn(tools) {
  const { tab, name, check, picture } = tools;
  await tab.goto(tools.page);
  await tab.waitForSelector('#sign-in:not([hidden])');
  await accessible(tools, `${name}, sign-in`);
  await fits(tools, `${name}, sign-in`);
  await signIn(tools);
  const id = await decided(tools, denied(INJECTION));
  await decided(tools, harmless('browser-test'));
  for (const part of PARTS) {
    await open(tools, part);
    if (part === 'live') await tab.waitForSelector('.chart .plot[aria-label]');
    if (part === 'operations') await tab.waitForSelector('.changes .panel, .changes .empty');
    if (part === 'denials')
      await tab.waitForFunction(() => !/Counting/.test(document.querySelector('.denials').textContent));
    const heading = await tab.textContent('#content h2');
    check(`${name}, ${part}: has its heading`, heading.toLowerCase().startsWith(part), heading);
    await accessible(tools, `${name}, ${part}`);
    await fits(tools, `${name}, ${part}`);
    await picture(tab, `${name}-${part}`);
  }
  await tab.goto(`${tools.page}#decisions?record=${id}`);
  await tab.waitForSelector('#record .verification');
  await tab.waitForSelector('#record .policy .source');
  await accessible(tools, `${name}, record`);
  await fits(tools, `${name}, record`);
  check(
    `${name}, record: a name that looks like markup is shown as text`,
    (await tab.textContent('#record-title')).includes(INJECTION),
  );
  await picture(tab, `${name}-record`);
}

/** The stream: points arrive, an interruption is said, and it ends. */
export async function liveness(tools) {
  const { tab, check } = tools;
  await signIn(tools);
  await open(tools, 'live');
  await tab.waitForFunction(() => document.querySelectorAll('.target-value').length === 4);
  check('the head has a state in words', /Ready|Degraded|Down/.test(await tab.textContent('.state-word')));
  check('the head names the constitution', /hash/.test(await tab.textContent('.constitution')));
  const outcomes = await tab.$$eval('.target .badge', (badges) => badges.map(({ textContent }) => textContent.trim()));
  check(
    'each target has its outcome in words',
    outcomes.length === 4 && outcomes.every((text) => /met|missed|nothing measured|low demand/.test(text)),
    outcomes.join(', '),
  );
  await until(tab, () => import('./live.js').then(({ live }) => live.connection.isLive));
  check('the stream is open, and no interruption is told', await tab.isHidden('.stale'));
  const summary = () => tab.getAttribute('.chart:last-of-type .plot', 'aria-label');
  const before = await tab.evaluate(() => import('./live.js').then(({ live }) => live.series.at.at(-1)));
  await until(tab, (last) => import('./live.js').then(({ live }) => live.series.at.at(-1) > last), before);
  check('new points arrive', true);
  check('a chart describes itself', /Newest values/.test(await summary()));
  await tab.click('.values summary');
  await tab.waitForSelector('.values tbody tr:nth-child(10)');
  check('the values are there as a table', true);

  await tab.route('**/v1/performance**', (route) => route.abort());
  await tab.reload();
  await tab.waitForSelector('.stale:not([hidden])');
  check('an interrupted stream is said', /Not live/.test(await tab.textContent('.stale')));
  await tab.unroute('**/v1/performance**');
  await tab.waitForSelector('.stale', { state: 'hidden' });
  check('the stream begins again by itself', true);
}

/** A dry run. */
export async function trial(tools) {
  const { tab, check } = tools;
  await signIn(tools);
  await open(tools, 'try');
  const before = await tab.evaluate(async () => (await (await fetch('../v1/audit')).json()).size);
  await tab.click('text=An agent deploys a risky model');
  await tab.click('button:has-text("Ask")');
  await tab.waitForSelector('.explanation');
  const answer = await tab.textContent('.answer');
  check(
    'a dry run is answered',
    /deny/.test(answer) && /dry run/.test(answer) && /deploy-needs-approval/.test(answer),
    answer.slice(0, 200),
  );
  check(
    'it is explained policy by policy',
    /Policy by policy/.test(answer) && (await tab.locator('.policy-row').count()) > 1,
  );
  const kinds = await tab.evaluate(async (from) => {
    const { size } = await (await fetch('../v1/audit')).json();
    const indexes = Array.from({ length: size - from }, (_, at) => from + at);
    const entries = await Promise.all(indexes.map(async (at) => (await fetch(`../v1/audit/entries/${at}`)).json()));
    return entries.map(({ kind }) => kind);
  }, before);
  check('no decision is recorded of it', !kinds.includes('decision'), kinds.join(', '));
  await tab.fill('.question-fields input >> nth=1', 'another-agent');
  check('a field changes the question', (await tab.inputValue('textarea')).includes('another-agent'));
  await tab.fill('textarea', '{"subject": ');
  check('a question that is not JSON is said to be so', /not JSON/.test(await tab.textContent('#question-fault')));
}

/** Everything by keyboard, with a visible focus. */
export async function keyboard(tools) {
  const { tab, check } = tools;
  await signIn(tools);
  await decided(tools, denied('keyboard'));
  await open(tools, 'decisions');
  await tab.waitForSelector('.decisions tbody tr');
  // The focus begins at the top of a page that was loaded.
  await tab.reload();
  await tab.waitForSelector('.decisions tbody tr');
  await tab.keyboard.press('Tab');
  check('the first stop is the skip link', await tab.evaluate(() => document.activeElement.matches('.skip')));
  await tab.keyboard.press('Enter');
  check('it leads to the content', await tab.evaluate(() => document.activeElement.id === 'content'));
  const stops = [];
  for (let stop = 0; stop < 14; stop += 1) {
    await tab.keyboard.press('Tab');
    stops.push(
      await tab.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        const element = document.activeElement;
        return {
          name: element.textContent.trim().slice(0, 30) || element.name || element.tagName,
          visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
          row: Boolean(element.closest('.decisions tbody')),
        };
      }),
    );
    if (stops.at(-1).row) break;
  }
  check(
    'each stop shows its focus',
    stops.every(({ visible }) => visible),
    JSON.stringify(stops.filter(({ visible }) => !visible)),
  );
  check(
    'the rows are reached',
    stops.some(({ row }) => row),
    JSON.stringify(stops),
  );
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#record[open] .verification');
  check(
    'the focus is in the record',
    await tab.evaluate(() => document.getElementById('record').contains(document.activeElement)),
  );
  await tab.keyboard.press('Escape');
  await tab.waitForSelector('#record', { state: 'hidden' });
  check(
    'Escape leads back to the row',
    await tab.evaluate(() => Boolean(document.activeElement.closest('.decisions tbody'))),
  );
  await open(tools, 'denials');
  await tab.focus('select[name=within]');
  for (const within of [21_600, 86_400]) {
    await tab.keyboard.press('ArrowDown');
    await tab.waitForURL(`**/*within=${within}`);
  }
  check('a choice of time is operated further on', await tab.evaluate(() => document.activeElement.name === 'within'));
  await tab.focus('.tabs a[href="#try"]');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('textarea');
  check('a part opens by Enter', true);
}

/** Files and data of the page. */
export async function isolation(tools) {
  const { tab, page, check } = tools;
  await signIn(tools);
  await open(tools, 'live');
  const inline = await tab.evaluate(() =>
    document.documentElement.outerHTML.match(/<script(?![^>]*\ssrc=)[^>]*>|\son[a-z]+="/g),
  );
  check('the page has no inline script', inline === null, String(inline));
  const names = await tab.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map(({ name }) => name)
      .filter((name) => /\/dashboard\//.test(name)),
  );
  const types = await tab.evaluate(
    (files) =>
      Promise.all(
        files.map(async (file) => {
          const answer = await fetch(file);
          return [
            file,
            answer.headers.get('content-type'),
            answer.headers.get('x-content-type-options'),
            answer.headers.get('content-security-policy'),
          ];
        }),
      ),
    [...new Set([page, ...names])],
  );
  const wrong = types.filter(([, type, sniff, policy]) => !type || sniff !== 'nosniff' || !policy);
  check(`${types.length} files have a type, nosniff and the policy`, wrong.length === 0, JSON.stringify(wrong));
  const exact = await tab.evaluate(async () => {
    const { parseExact } = await import('./json.js');
    return JSON.stringify(parseExact('[9223372036854775807]'));
  });
  check('large integers keep their digits', exact === '[9223372036854775807]', exact);
  check(
    'the theme is kept',
    await tab.evaluate(async () => {
      const select = document.getElementById('theme');
      select.value = 'dark';
      select.dispatchEvent(new Event('change'));
      return document.documentElement.dataset.theme === 'dark' && localStorage.getItem('acgs.theme') === 'dark';
    }),
  );
}
