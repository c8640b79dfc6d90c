// Steps that the journeys of the browser test have in common.

/** A name that would run a script if it were taken as markup. */
export const INJECTION = '<img src=x onerror=alert(1)>';

/** Signs in, at a fragment of the page. */
export async function signIn({ tab, page, user, password }, fragment = '') {
  await tab.goto(page + fragment);
  await tab.waitForSelector('#sign-in:not([hidden])');
  await tab.fill('[name=username]', user);
  await tab.fill('[name=password]', password);
  await tab.click('#sign-in-submit');
  await tab.waitForSelector('#app:not([hidden])');
}

/** Goes to a part, and waits until it has what it asked for. */
export async function open({ tab, page }, part) {
  await tab.goto(`${page}#${part}`);
  const name = part.split('?')[0];
  await tab.waitForSelector(`.tabs a[href="#${name}"][aria-current]`);
  const ready = {
    live: '.chart canvas',
    decisions: '.decisions tbody tr, .empty',
    denials: '.denials h3',
    operations: '.columns table',
    try: 'textarea',
  };
  await tab.waitForSelector(ready[name]);
}

/** Sends a question as the page does, with the session's cookie and its CSRF token. */
export function ask(tab, address, question) {
  return tab.evaluate(
    async ([to, body]) => {
      const session = await (await fetch('../v1/auth/session')).json();
      const answer = await fetch(to, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': session.csrf },
        body: JSON.stringify(body),
      });
      return { status: answer.status, ...(await answer.json()) };
    },
    [address, question],
  );
}

/**
 * Waits until a function answers something true in the page. It may answer a promise, which Playwright's own
 * `waitForFunction` would take for true.
 */
export async function until(tab, condition, argument) {
  const end = Date.now() + 30_000;
  while (!(await tab.evaluate(condition, argument))) {
    if (Date.now() > end) throw new Error(`this did not become true: ${condition}`);
    await tab.waitForTimeout(100);
  }
}

/** Waits until the search finds the record of a subject, so that lists have it. */
export function found(tab, id, subject) {
  return until(
    tab,
    async (sought) => {
      const query = `kind=decision&limit=50&subject=${encodeURIComponent(sought.subject)}`;
      const { items } = await (await fetch(`../v1/audit/entries?${query}`)).json();
      return items.some(({ record }) => record?.id === sought.id);
    },
    { id, subject },
  );
}

/** A question that the shipped constitution denies for human oversight. */
export const denied = (id) => ({
  subject: { type: 'Agent', id },
  action: { name: 'deploy_model' },
  resource: { type: 'Model', id: 'm1' },
  context: { risk: 8, human_approved: false },
});
/** A question that the shipped constitution permits. */
export const harmless = (id) => ({
  subject: { type: 'Agent', id },
  action: { name: 'call_tool' },
  resource: { type: 'Tool', id: 'unit-converter', properties: { risk: 1 } },
});

/** The id of a decision, once the search finds it. */
export async function decided({ tab, check }, question) {
  const answer = await ask(tab, '../access/v1/evaluation', question);
  check(`a question is answered (${answer.status})`, answer.status === 200, JSON.stringify(answer));
  await found(tab, answer.context.id, question.subject.id);
  return answer.context.id;
}

/** Checks the page, as it is now, with axe-core. */
export async function accessible({ tab, axe, check }, name) {
  const result = await tab.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] })`);
  const found = result.violations.map(
    ({ id, nodes }) =>
      `${id} at ${nodes.map(({ target, failureSummary }) => `${target} (${failureSummary})`).join('; ')}`,
  );
  check(`${name}: axe-core finds nothing`, found.length === 0, found.join('\n'));
}

/** Checks that nothing is wider than the window. */
export async function fits({ tab, check }, name) {
  const [content, window] = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(`${name}: no horizontal scrolling`, content <= window, `${content} of ${window} pixels`);
}
