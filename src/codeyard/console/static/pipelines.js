// Keeps a page of pipelines as the server has it, changing only what is different: what has the focus keeps it, what
// was written or opened stays, and nothing flickers.

import { tick } from './live.js';

const known = 'INPUT TEXTAREA SELECT'.split(' ');
let tag = '';
let looking = false;
let timer = 0;

/** Makes `here` as `there` is. */
function become(here, there) {
  if (here.nodeType !== there.nodeType || here.nodeName !== there.nodeName || here.id !== there.id) {
    here.replaceWith(there);
    return;
  }
  if (here.nodeType !== Node.ELEMENT_NODE) {
    if (here.data !== there.data) here.data = there.data;
    return;
  }
  // A duration goes on by itself.
  if (here.dataset.since && here.dataset.since === there.dataset.since) return;
  attributes(here, there);
  if (!known.includes(here.nodeName)) children(here, there);
}

function attributes(here, there) {
  for (const { name, value } of there.attributes) if (here.getAttribute(name) !== value) here.setAttribute(name, value);
  for (const { name } of [...here.attributes]) {
    // Whether it is open is the reader's choice.
    if (!there.hasAttribute(name) && !(name === 'open' && here.nodeName === 'DETAILS')) here.removeAttribute(name);
  }
}

function children(here, there) {
  const named = new Map([...here.children].filter((each) => each.id).map((each) => [each.id, each]));
  let at = here.firstChild;
  for (const next of [...there.childNodes]) {
    let same = next.id ? named.get(next.id) : at;
    if (same && (same.parentNode !== here || same.nodeName !== next.nodeName || (!next.id && same.id))) same = null;
    if (!same) {
      here.insertBefore(next, at);
      continue;
    }
    // What stood before it is gone, or comes later and is made anew.
    while (at !== same && after(at, same)) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    if (at !== same) here.insertBefore(same, at);
    else at = at.nextSibling;
    become(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function after(one, other) {
  return one && one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
}

async function look() {
  clearTimeout(timer);
  if (looking) return;
  looking = true;
  try {
    const address = new URL(location.href);
    address.searchParams.set('live', '');
    const answer = await fetch(address, { headers: tag ? { 'if-none-match': tag } : {} });
    if (answer.status === 401 || answer.status === 404) return location.reload();
    if (answer.status === 200) {
      const text = await answer.text();
      const there = new DOMParser().parseFromString(text, 'text/html').getElementById('live');
      become(document.getElementById('live'), document.adoptNode(there));
      tag = answer.headers.get('etag');
      document.title = `${document.getElementById('live').dataset.title} · Codeyard`;
      tick();
    }
  } catch {
    // The server is away: it is asked again.
  } finally {
    looking = false;
  }
  wait();
}

function wait() {
  const seconds = Number(document.getElementById('live').dataset.every) || 5;
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, 1000 * seconds);
}

document.addEventListener('visibilitychange', () => !document.hidden && look());

// One menu is open at a time, and none after a click elsewhere.
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  const menu = document.querySelector('details.menu[open]');
  if (!menu) return;
  menu.open = false;
  menu.querySelector('summary').focus();
});

// A form that was sent is not sent again by a second click.
document.addEventListener('submit', (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = 'yes';
  setTimeout(() => delete event.target.dataset.sent, 3000);
});

tick();
wait();
