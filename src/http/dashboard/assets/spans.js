// The times up to now that can be chosen, each in seconds with its name.

export const SPANS = [
  ['900', 'Last 15 min'],
  ['3600', 'Last hour'],
  ['21600', 'Last 6 h'],
  ['86400', 'Last 24 h'],
  ['604800', 'Last 7 days'],
  ['2592000', 'Last 30 days'],
];
