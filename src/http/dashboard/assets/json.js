// JSON without loss: integers beyond 2^53 keep their digits, so that a record is shown, compared and asked again as it
// is. Browsers without `JSON.rawJSON` round them, as they do everywhere else.

/** `JSON.parse`, with integers that are not exact as raw JSON, which `JSON.stringify` writes unchanged. */
export function parseExact(text) {
  if (!JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) => {
    const isRounded = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isRounded && /^-?[0-9]+$/.test(context?.source ?? '') ? JSON.rawJSON(context.source) : value;
  });
}

/** JSON with sorted members, to compare values by. */
export function canonical(value) {
  return JSON.stringify(value, (_, member) => {
    const isPlain = member && typeof member === 'object' && !Array.isArray(member) && !JSON.isRawJSON?.(member);
    if (!isPlain) return member;
    return Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
