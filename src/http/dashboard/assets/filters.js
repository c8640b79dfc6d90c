// The filters of decisions: a form, and the parameters of the search that it stands for. They live in the address.

import { get } from './api.js';
import { el } from './dom.js';
import { duration, entityOf, words } from './format.js';
import { REASONS } from './reasons.js';
import { go } from './router.js';
import { SPANS } from './spans.js';

const RANGES = [['', 'Any time'], ...SPANS, ['between', 'Between …']];

/** The parameters of `/v1/audit/entries` for the filters of an address. */
export function searchOf(query) {
  const search = {};
  for (const name of ['subject', 'resource']) Object.assign(search, entityParameters(name, query.get(name)));
  for (const name of ['action', 'decision', 'reason', 'principle']) search[name] = query.get(name);
  const range = Number(query.get('within'));
  if (range > 0) search.from = new Date(Date.now() - range * 1000).toISOString();
  for (const name of ['from', 'to']) {
    const date = new Date(query.get(name) ?? '');
    if (!Number.isNaN(date.getTime())) search[name] = date.toISOString();
  }
  return search;
}

/** The parameters for an entity, of which the type is left out where only an id is named. */
function entityParameters(name, text) {
  if (!text) return {};
  const { type, id } = entityOf(text);
  return { [name]: id, ...(type ? { [`${name}_type`]: type } : {}) };
}

/** A local date and time as an `input` has it. */
function localInput(text) {
  const date = new Date(text ?? '');
  if (Number.isNaN(date.getTime())) return '';
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** A form with the filters of an address; submitting it goes to the address of the new ones. */
export function filterForm(query) {
  const field = (label, control) => el('label', {}, label, control);
  const text = (name, placeholder) =>
    el('input', { name, value: query.get(name) ?? '', placeholder, autocomplete: 'off', spellcheck: 'false' });
  const select = (name, options) => {
    const chosen = query.get(name) ?? '';
    const known = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
    return el(
      'select',
      { name },
      known.map(([value, label]) => el('option', { value, selected: value === chosen }, label)),
    );
  };
  const isBetween = query.has('from') || query.has('to');
  const within = isBetween ? 'between' : (query.get('within') ?? '');
  const isRange = RANGES.some(([value]) => value === within);
  const ranges = isRange ? RANGES : [...RANGES, [within, `Last ${duration(Number(within))}`]];
  const when = el(
    'select',
    { name: 'within' },
    ranges.map(([value, label]) => el('option', { value, selected: value === within }, label)),
  );
  const between = ['from', 'to'].map((name) =>
    el(
      'label',
      { hidden: !isBetween },
      name === 'from' ? 'From' : 'To',
      el('input', { name, type: 'datetime-local', value: localInput(query.get(name)), disabled: !isBetween }),
    ),
  );
  when.addEventListener('change', () =>
    between.forEach((label) => {
      const off = when.value !== 'between';
      label.hidden = off;
      label.querySelector('input').disabled = off;
    }),
  );
  const principle = select('principle', [['', 'Any']]);
  addPrinciples(principle);

  const form = el(
    'form.filters',
    { role: 'search', 'aria-label': 'Filters of decisions' },
    field('Subject', text('subject', 'Agent::helper')),
    field('Action', text('action', 'call_tool')),
    field('Resource', text('resource', 'Tool::search')),
    field(
      'Decision',
      select('decision', [
        ['', 'Any'],
        ['true', 'permit'],
        ['false', 'deny'],
      ]),
    ),
    field('Reason', select('reason', [['', 'Any'], ...Object.keys(REASONS).map((reason) => [reason, words(reason)])])),
    field('Principle', principle),
    field('Time', when),
    between,
    el(
      'div.filter-buttons',
      {},
      el('button.primary', { name: 'search' }, 'Search'),
      el('a.button', { href: '#decisions' }, 'Clear'),
    ),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    go('decisions', chosen(form));
  });
  return form;
}

function chosen(form) {
  const values = Object.fromEntries(new FormData(form));
  for (const [name, value] of Object.entries(values)) values[name] = value.trim();
  if (values.within === 'between') delete values.within;
  for (const name of ['from', 'to']) if (values[name]) values[name] = new Date(values[name]).toISOString();
  return values;
}

async function addPrinciples(select) {
  try {
    const { principles } = await get('v1/constitution');
    const known = new Set([...select.options].map(({ value }) => value));
    const others = principles.filter(({ id }) => !known.has(id));
    select.append(...others.map(({ id, title }) => el('option', { value: id }, title ?? id)));
  } catch {
    // Without the scope `read` the principles are not known; a link may still name one.
  }
}
