// Builds elements. Text always becomes text nodes, never markup, so that no record can inject anything.

/**
 * An element: `el('a.quiet', { href: '#live', onclick: … }, 'Live', child, …)`.
 *
 * The first argument is a tag with classes. Properties that begin with `on` are listeners; `true` and `false` set and
 * leave out an attribute; all others are attributes. Children are elements, texts, numbers, lists, or nothing.
 */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Sets the text of an element, if it differs: an unchanged text is not announced and keeps its selection. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const keys = new WeakMap();

/**
 * Fills an element with the children that `make` answers, unless the value `key` is that of the last time: what did not
 * change keeps its selection. Otherwise, the focus and the `details` that are open stay as they are, as far as the new
 * children have them.
 */
export function fillIfChanged(element, key, make) {
  const text = JSON.stringify(key) ?? '';
  if (keys.get(element) === text) return;
  keys.set(element, text);
  // Numbers in a summary, such as of alerts, may have changed.
  const summary = (details) => details.querySelector('summary')?.textContent.replace(/[0-9]+/g, '');
  const open = new Set([...element.querySelectorAll('details[open]')].map(summary));
  keepingFocus(element, () => fill(element, make()));
  for (const details of element.querySelectorAll('details')) if (open.has(summary(details))) details.open = true;
}

/**
 * Replaces content below `root`, and gives the focus back to the control of the same name or the link to the same
 * address. If there is none any more, `otherwise` gets it.
 */
export function keepingFocus(root, replace, otherwise = null) {
  const focused = root.contains(document.activeElement) && document.activeElement !== root;
  const name = focused && ['name', 'href'].find((attribute) => document.activeElement.hasAttribute(attribute));
  const selector = name && `[${name}=${JSON.stringify(document.activeElement.getAttribute(name))}]`;
  replace();
  if (!focused) return;
  const target = (selector && root.querySelector(selector)) || otherwise;
  target?.focus({ preventScroll: true });
}

const ages = new WeakMap();

/** A span whose text depends on the time of day, such as an age. `refreshAges` makes it anew. */
export function ageing(make) {
  const span = el('span.age', {}, make());
  ages.set(span, make);
  return span;
}

/** Makes the ages below an element anew. */
export function refreshAges(root) {
  for (const span of root.querySelectorAll('.age')) setText(span, ages.get(span)());
}

export const byId = (id) => document.getElementById(id);

/** A term and its description in a `dl`; nothing if there is no description. */
export function pair(term, ...description) {
  const shown = nodes(description);
  return shown.length > 0 ? el('div', {}, el('dt', {}, term), el('dd', {}, shown)) : null;
}

/** A sentence for a place without content, which says what to do. */
export function empty(...text) {
  return el(
    'p.empty',
    {},
    text.map((part) => (typeof part === 'string' ? prose(part) : part)),
  );
}

/** A failed request, in words. */
export function fault(error) {
  return el('p.fault', { role: 'alert' }, symbol('✕'), ' ', prose(error.message));
}

/** A symbol beside a word that says the same. */
export function symbol(text, classes = '') {
  return el('span', { 'aria-hidden': 'true', class: `symbol ${classes}` }, text);
}

/** A small label: `permit`, `deny`, `firing`, … Each has a symbol, so that colour is never alone. */
export function badge(kind, text) {
  return el('span', { class: `badge badge-${kind}` }, symbol(SYMBOLS[kind] ?? '•'), ` ${text}`);
}

/** The badge of a decision. */
export function verdictBadge(isPermit) {
  return isPermit ? badge('permit', 'permit') : badge('deny', 'deny');
}

/** Names in code, with a separator between them. */
export function codes(names, separator = ', ') {
  return names.map((name, at) => [at > 0 ? separator : '', el('code', {}, name)]);
}

const SYMBOLS = {
  permit: '✓',
  deny: '✕',
  ok: '✓',
  met: '✓',
  missed: '✕',
  failed: '✕',
  degraded: '▲',
  down: '✕',
  firing: '▲',
  pending: '◷',
  inactive: '✓',
  unknown: '–',
  critical: '!',
  warning: '▲',
  info: 'i',
};

/** Runs a task that a button starts. A disabled button would lose the focus, so it is only marked and ignored. */
export async function whileBusy(button, task) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await task();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

/** A text with `names` in backticks, as messages have them, as elements. */
export function prose(text) {
  return String(text ?? '')
    .split('`')
    .map((part, at) => (at % 2 === 1 ? el('code', {}, part) : part));
}

/**
 * A table. Columns are titles; those of numbers are `{ number: title }`, and one without a title is ''. The rows are `tr`
 * elements, or a `tbody` that is filled later.
 */
export function table(columns, rows) {
  const heading = (column) => {
    if (column === '') return el('td');
    return column.number ? el('th.number', { scope: 'col' }, column.number) : el('th', { scope: 'col' }, column);
  };
  const body = rows instanceof Element ? rows : el('tbody', {}, rows);
  return el('table', {}, el('thead', {}, el('tr', {}, columns.map(heading))), body);
}

/** A part that scrolls sideways if it is too wide, which the keyboard can reach. */
export function scrollRegion(label, content) {
  return el('div.scroll', { tabindex: '0', role: 'region', 'aria-label': label }, content);
}

/** A scrollable block of source text, which the keyboard can reach. */
export function source(text, label) {
  return el('pre.source', { tabindex: '0', role: 'region', 'aria-label': label }, text);
}
