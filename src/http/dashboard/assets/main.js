// Starts the page: colours, session, the head, and the part that the address names.

import { byId, fill, keepingFocus } from './dom.js';
import { startHead } from './head.js';
import { startLive, stopLive } from './live.js';
import { closeRecord, openRecord } from './record.js';
import { route, startRouter } from './router.js';
import { has, session, startSession } from './session.js';
import { startTheme } from './theme.js';
import * as decisions from './decisions.js';
import * as denials from './denials.js';
import * as operations from './operations.js';
import * as overview from './overview.js';
import * as trial from './try.js';

const parts = { live: overview, decisions, denials, operations, try: trial };
const titles = { live: 'Live', decisions: 'Decisions', denials: 'Denials', operations: 'Operations', try: 'Try' };

let shown = null;
let leave = () => {};
let endHead = () => {};

function show() {
  if (session() === null) return;
  const { part, query, record } = route();
  const name = Object.hasOwn(parts, part) ? part : 'live';
  document.title = `${titles[name]} · ACGS-2`;
  for (const link of document.querySelectorAll('.tabs a')) {
    const isCurrent = link.hash === `#${name}`;
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const key = `${name}?${query}`;
  if (shown !== key) {
    shown = key;
    leave();
    const content = byId('content');
    // A choice that leads to another address, such as of a time, is operated by the keyboard further on.
    const replace = () => {
      leave = parts[name].show(fill(content), query) ?? (() => {});
    };
    keepingFocus(content, replace, content);
  }
  if (record === null) closeRecord();
  else openRecord(record);
}

startTheme(byId('theme'));
startRouter(show);
// The fragment is the address of a part, so the skip link moves the focus by itself.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  const target = session() === null ? byId('sign-in-form').elements.username : byId('content');
  target.focus();
});
startSession((now) => {
  leave();
  leave = () => {};
  shown = null;
  endHead();
  endHead = () => {};
  if (now === null) {
    stopLive();
    closeRecord();
    fill(byId('content'));
    return;
  }
  endHead = startHead(byId('head'));
  if (has('read')) startLive();
  show();
});
