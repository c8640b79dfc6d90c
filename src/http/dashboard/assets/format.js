// Numbers with units, and times, as this browser's user reads them.

const locale = undefined;
const clock = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const moment = new Intl.DateTimeFormat(locale, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const integers = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });

/** A count: `12,345`. */
export function count(value) {
  return value === null || value === undefined ? '–' : integers.format(value);
}

/** A number with at most three significant digits, or as many as it has before the point. */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return integers.format(value);
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 }).format(value);
}

/** A value with its unit: `1.93 ms`, `98.2 %`, `1.2 GB`, `3 min`. */
export function quantity(value, unit) {
  if (value === null || value === undefined) return '–';
  switch (unit) {
    case 'bytes':
      return bytes(value);
    case 's':
      return duration(value);
    case 'ms':
      return value >= 1000 ? duration(value / 1000) : `${number(value)} ms`;
    case '/s':
    case '1/s':
      return `${number(value)} per second`;
    case '1/min':
      return `${number(value)} per minute`;
    case 'percent':
    case '%':
      return percent(value);
    case '':
    case undefined:
    case null:
      return number(value);
    default:
      return `${number(value)} ${value === 1 ? unit.replace(/s$/, '') : unit}`;
  }
}

/** A share. Only a whole one is shown as `100 %`: 99.996 is not rounded up. */
export function percent(value) {
  if (value === null || value === undefined) return '–';
  if (value < 100 && value >= 99.9) return `${(Math.floor(value * 1000) / 1000).toLocaleString(locale)} %`;
  return `${number(value)} %`;
}

export function bytes(value) {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let at = 0;
  let rest = value;
  while (rest >= 1000 && at < units.length - 1) [rest, at] = [rest / 1000, at + 1];
  return `${number(rest)} ${units[at]}`;
}

/** A duration in seconds, in its two largest units: `3 d 4 h`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 60) return `${number(seconds)} s`;
  const units = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const parts = [];
  let rest = Math.round(seconds);
  for (const [unit, size] of units) {
    const whole = Math.floor(rest / size);
    if (whole > 0 || parts.length > 0) parts.push(whole > 0 ? `${whole} ${unit}` : '');
    rest -= whole * size;
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(' ');
}

/** Hours, minutes and seconds of a date. */
export function timeOfDay(date) {
  return clock.format(date);
}

/** Date and time of an RFC 3339 text, in this browser's zone. */
export function dateTime(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? String(text ?? '–') : moment.format(date);
}

/** How long ago an RFC 3339 time was: `12 min ago`. */
export function ago(text, now = Date.now()) {
  const seconds = (now - new Date(text).getTime()) / 1000;
  if (Number.isNaN(seconds)) return '–';
  return seconds < 1 ? 'now' : `${duration(Math.floor(seconds))} ago`;
}

/** A `time` element's text, with the exact time for machines. */
export function timeElement(text, shown = dateTime(text)) {
  const element = document.createElement('time');
  element.dateTime = text;
  element.title = text;
  element.textContent = shown;
  return element;
}

/** `Agent::builder`, as the policies name it. */
export function entityName(uid) {
  return uid ? `${uid.type ?? '?'}::${uid.id ?? '?'}` : '–';
}

/**
 * Type and id of `Agent::"builder"`, as Cedar writes it, or of `Agent::builder`. A text of another form is an id without
 * a type.
 */
export function entityOf(text) {
  const [, type, id] = /^((?:[A-Za-z_]\w*::)+)"(.*)"$/s.exec(text) ?? /^((?:[A-Za-z_]\w*::)+)(.+)$/s.exec(text) ?? [];
  return type ? { type: type.slice(0, -2), id } : { id: text };
}

/** `no_permit` → `no permit` */
export function words(name) {
  return String(name ?? '–').replaceAll('_', ' ');
}

/** JSON with indentation. */
export function pretty(value) {
  return JSON.stringify(value, null, 2);
}
