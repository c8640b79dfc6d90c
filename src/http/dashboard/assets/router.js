// The address of what is shown, in the fragment: `#decisions?subject=helper&record=42`. `record` is the index of an
// entry of the audit log, or the id of a decision; it is open in a dialog above the part.

function parse() {
  const [part, query = ''] = location.hash.replace(/^#/, '').split('?');
  const parameters = new URLSearchParams(query);
  const record = parameters.get('record');
  parameters.delete('record');
  return { part, query: parameters, record };
}

/** `{part, query, record}` of the present address. */
export const route = parse;

/** Calls the listener after each change of the address. */
export function startRouter(listener) {
  addEventListener('hashchange', () => listener());
}

/** The fragment for a part, with a query of the members that are not empty. */
export function fragment(part, query = {}) {
  const entries = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const parameters = new URLSearchParams(
    entries.filter(([, value]) => value !== '' && value !== null && value !== undefined),
  );
  const text = parameters.toString();
  return text ? `#${part}?${text}` : `#${part}`;
}

export function go(part, query) {
  location.hash = fragment(part, query);
}

/** The present address, with this record open. */
export function withRecord(record) {
  const { part, query } = parse();
  const parameters = new URLSearchParams(query);
  if (record !== null) parameters.set('record', record);
  return fragment(part || 'live', parameters);
}
