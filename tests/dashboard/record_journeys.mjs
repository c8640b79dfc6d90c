// The journeys of the browser test through decisions and their records.

import { ask, decided, denied, found, harmless, open, signIn } from './steps.mjs';

/** The list of decisions, its filters, and a record. */
export async function records(tools) {
  const { tab, page, vkey, check } = tools;
  await signIn(tools);
  const subject = `records-${Date.now()}`;
  const id = await decided(tools, denied(subject));
  await decided(tools, harmless(subject));
  await open(tools, `decisions?subject=Agent::${subject}`);
  await tab.waitForFunction(() => document.querySelectorAll('.decisions tbody tr').length === 2);
  check('a filter by subject finds its two decisions', true);
  await tab.selectOption('[name=decision]', 'false');
  await tab.click('.filters button');
  await tab.waitForFunction(() => document.querySelectorAll('.decisions tbody tr').length === 1);
  check(
    'a filter by decision is added in the address',
    tab.url().includes('decision=false') && tab.url().includes(subject),
    tab.url(),
  );

  await tab.click('.decisions tbody tr td:nth-child(5)');
  await tab.waitForSelector('#record[open] .verification');
  check('a row opens its record', tab.url().includes(id), tab.url());
  check(
    'the record is verified in the browser',
    await tab.isVisible('.verification-partial, .verification-ok'),
    await tab.textContent('.verdict'),
  );
  const text = await tab.textContent('#record');
  for (const part of [
    'Why',
    'What would have to change',
    'The policies',
    'The question',
    'The entities that were read',
    'human-oversight',
  ]) {
    check(`the record has: ${part}`, text.includes(part));
  }
  await tab.click('.verification summary');
  const steps = await tab.$$eval('.steps li > .badge', (badges) => badges.map(({ textContent }) => textContent.trim()));
  check(
    'each step of the verification has its outcome',
    steps.length >= 5 && !steps.some((step) => step.includes('failed')),
    steps.join(', '),
  );
  if (vkey) {
    await tab.fill('.key input', vkey);
    await tab.click('.key button');
    await tab.waitForSelector('.verification-ok, .verification-failed');
    await tab.waitForFunction(() => /that the key signed/.test(document.querySelector('.verdict')?.textContent));
    check('with the public key, the signature is verified', true);
  }
  await tab.click('text=Decide it under the constitution in force');
  await tab.waitForSelector('text=/The same answer would be given now|The decision would be/');
  check('the question is decided again, and compared', true);
  await tab.reload();
  await tab.waitForSelector('#record[open] .verification');
  check('the address of a record opens it again', true);
  await tab.keyboard.press('Escape');
  await tab.waitForSelector('#record', { state: 'hidden' });
  check('closing leads back to the list', !tab.url().includes('record='), tab.url());

  await large(tools);

  await open(tools, 'denials');
  await tab.waitForSelector('.multiples a');
  await tab.click('.multiples a');
  await tab.waitForSelector('.tabs a[href="#decisions"][aria-current]');
  check(
    'a series of denials leads to its decisions',
    tab.url().includes('decision=false') && tab.url().startsWith(page),
    tab.url(),
  );
  await tab.waitForSelector('.decisions tbody tr');
  check('and they are found', true);
}

/** Records of a batch, which share members, and one in parts. */
async function large(tools) {
  const { tab, check } = tools;
  const subject = `large-${Date.now()}`;
  const question = harmless(subject);
  const { resource, ...shared } = { ...question, context: { purpose: 'x'.repeat(400) } };
  const batch = await ask(tab, '../access/v1/evaluations', { ...shared, evaluations: [{ resource }, { resource }] });
  const inBatch = batch.evaluations[1].context.id;
  const inParts = await decided(tools, { ...question, context: { purpose: 'y'.repeat(90_000) } });
  await found(tab, inBatch, subject);
  await open(tools, `decisions?subject=${subject}`);
  for (const [name, id] of Object.entries({ 'a record that shares members': inBatch, 'a record in parts': inParts })) {
    await tab.click(`.decisions tbody a[href$="${id}"]`);
    await tab.waitForSelector('#record[open] .verification');
    const content = await tab.textContent('.steps li');
    check(`${name} is verified`, await tab.isVisible('.verification-partial, .verification-ok'), content);
    check(`${name} is read whole`, /its digest fits/.test(content), content);
    await tab.keyboard.press('Escape');
    await tab.waitForSelector('#record', { state: 'hidden' });
  }
}

/** Answers that were changed on their way are noticed. */
export async function tampering(tools) {
  const { tab, page, check } = tools;
  await signIn(tools);
  const subject = `tampering-${Date.now()}`;
  const id = await decided(tools, denied(subject));
  const cases = {
    'a changed record': [
      /\/v1\/audit\/entries\/\d+$/,
      (text) => text.replace('"decision":false', '"decision":true'),
      /This record is not the one that was logged/,
    ],
    'a changed hash of the proof': [
      /\/proof$/,
      (text) =>
        text.replace(/\n([A-Za-z0-9+/])(?=[A-Za-z0-9+/]{42}=\n)/, (_, letter) => `\n${letter === 'A' ? 'B' : 'A'}`),
      /This record is not the one that was logged/,
    ],
    'a proof of another record': [
      /\/proof$/,
      (text) => text.replace(/index \d+/, 'index 1'),
      /The proof belongs to another record/,
    ],
    'an unreadable proof': [/\/proof$/, () => 'nothing', /The proof cannot be read/],
  };
  for (const [name, [pattern, change, verdict]] of Object.entries(cases)) {
    await tab.route(pattern, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: change(await response.text()) });
    });
    await tab.goto('about:blank');
    await tab.goto(`${page}#decisions?record=${id}`);
    await tab.waitForSelector('#record .verification');
    const said = await tab.textContent('.verdict');
    check(`${name} is noticed`, verdict.test(said) && (await tab.isVisible('.verification-failed')), said);
    check(`${name}: the failed step is shown`, /failed/.test(await tab.textContent('.steps')));
    await tab.unroute(pattern);
  }
  const pattern = /\/v1\/audit\/entries\?.*kind=decision/;
  await tab.route(pattern, async (route) => {
    const response = await route.fetch();
    await route.fulfill({
      response,
      body: (await response.text()).replaceAll('"reason":"forbidden"', '"reason":"permitted"'),
    });
  });
  await tab.goto('about:blank');
  await open(tools, `decisions?subject=${subject}`);
  await tab.click('.decisions tbody tr a');
  await tab.waitForSelector('#record .verification-failed');
  check(
    'a list that shows something else than the log is noticed',
    /search index/.test(await tab.textContent('.verdict')),
  );
  await tab.unroute(pattern);
  const [entry, change, verdict] = cases['a changed record'];
  await tab.route(entry, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: change(await response.text()) });
  });
  await tab.goto('about:blank');
  await open(tools, `decisions?subject=${subject}`);
  await tab.click('.decisions tbody tr a');
  await tab.waitForSelector('#record .verification-failed');
  const said = await tab.textContent('.verdict');
  check('a record that was changed after it was listed is noticed', verdict.test(said), said);
}
