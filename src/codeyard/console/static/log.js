// The live log of a build: the last lines, more on demand, and what is written as it is written.

import { Pen, Row } from './ansi.js';
import { tick } from './live.js';

const KEPT = 5000; // lines in the page while it follows the end
const MOST = 20000; // lines in the page at all
const PART = 1000; // lines that are loaded at a time
const SLACK = 24; // pixels above the end that still are the end
const AGENT = /^\[Container\] \d{4}\/\d\d\/\d\d \S+ /;
const ENTRY = /^\[Container\] \S+ \S+ (?:Entering phase |Phase is |Phase complete: (?=POST_BUILD ))([A-Z_]+)/;

const at = (id) => document.getElementById(id);
const [lines, rows, jump, earlier, later] = ['lines', 'rows', 'jump', 'earlier', 'later'].map(at);
const path = at('log').dataset.path;

let shown = []; // { row, element, number }, in order
let open = null; // the last of them, if its line has not ended
let next = 1; // the number of the line that comes next
let pen = new Pen();
let source = null;
let following = true;
let put = 0; // pixels: where the end was when we or the reader last scrolled to it
let attached = false; // what is written now comes to the end of what is shown
let ended = false;
let waiting = []; // texts that are not shown yet
let scheduled = false;

// ── lines ──

function begin() {
  const element = document.createElement('div');
  element.className = 'l';
  const number = document.createElement('a');
  number.className = 'n';
  number.href = `#L${next}`;
  number.dataset.n = next;
  number.setAttribute('aria-label', `Line ${next}`);
  number.tabIndex = -1;
  element.append(number, document.createElement('code'));
  element.id = `L${next}`;
  open = { row: new Row(), element, number: next++ };
}

/** Adds a text to the lines of a list, and gives those elements that are new. */
function write(text, into) {
  const fresh = [];
  const parts = text.split('\n');
  parts.forEach((part, i) => {
    const last = i === parts.length - 1;
    if (part || !last) {
      if (!open) {
        begin();
        into.push(open);
        fresh.push(open.element);
      }
      const agent = open.row.length === 0 && AGENT.test(part);
      if (agent) pen.reset(); // colours that a command forgot to end
      if (agent) mark(open, part);
      open.row.write(part, pen);
      open.row.paint(open.element.lastChild);
    }
    if (!last) open = null;
  });
  return fresh;
}

function mark(line, text) {
  line.element.classList.add('agent');
  const entry = ENTRY.exec(text);
  if (!entry) return;
  const left = text.includes('Phase complete: ');
  if (!left) line.element.classList.add('entry');
  line.element.dataset.phase = left ? 'UPLOAD_ARTIFACTS' : entry[1];
}

function clear(number) {
  shown = [];
  open = null;
  pen = new Pen();
  waiting = [];
  next = number;
  rows.replaceChildren();
}

function append(text) {
  const fresh = write(text, shown);
  if (fresh.length) rows.append(...fresh);
  rows.style.setProperty('--digits', Math.max(3, String(next).length));
}

function trim(most) {
  if (shown.length <= most) return;
  for (const line of shown.splice(0, shown.length - most)) line.element.remove();
}

function edges() {
  earlier.hidden = !shown.length || shown[0].number <= 1;
  later.hidden = attached || !shown.length;
  jump.hidden = following && attached;
  at('none').hidden = shown.length > 0;
  at('none').textContent = ended ? 'This build has no log.' : 'Nothing was written yet.';
}

// ── as it is written ──

function schedule() {
  if (scheduled) return;
  scheduled = true;
  // In a window that nobody sees there are no frames.
  if (document.hidden) setTimeout(flush, 200);
  else requestAnimationFrame(flush);
}

function flush() {
  scheduled = false;
  let text = waiting.join('');
  waiting = [];
  if (!attached || !text) return;
  const ends = text.split('\n').length - 1;
  const over = ends - KEPT;
  const full = !following && shown.length + ends > MOST;
  if (following && over > 0) {
    clear(next + over - (open ? 1 : 0));
    text = text.slice(past(text, over));
  }
  if (full) text = text.slice(0, past(text, Math.max(0, MOST - shown.length)));
  append(text);
  if (full) detach();
  if (following) trim(KEPT);
  edges();
  if (following) toEnd();
  find.again();
}

/** Where the text goes on after so many ends of lines. */
function past(text, ends) {
  let at = 0;
  for (let i = 0; i < ends; i++) at = text.indexOf('\n', at) + 1;
  return at;
}

function attach(offset) {
  source?.close();
  attached = true;
  const from = new EventSource(`${path}/events?from=${offset}`);
  source = from;
  let reached = offset;
  const on = (name, act) =>
    from.addEventListener(name, (event) => {
      if (from !== source) return;
      reached = Number(event.lastEventId) || reached;
      act(JSON.parse(event.data));
    });
  on('log', ({ text }) => {
    waiting.push(text);
    schedule();
  });
  on('skip', ({ line }) => {
    if (following) return clear(line);
    // What is skipped is loaded when the reader asks for it.
    waiting = [];
    detach();
    edges();
  });
  on('build', build);
  on('end', () => {
    ended = true;
    from.close();
    say('');
    if (waiting.length) flush();
    edges();
  });
  from.onopen = () => say(ended ? '' : 'live');
  from.onerror = () => {
    if (from !== source) return;
    say('reconnecting …');
    // By itself it comes back when the connection broke, and not when the server could not take it.
    if (from.readyState === EventSource.CLOSED) setTimeout(() => from === source && again(reached), 3000);
  };
}

async function again(offset) {
  try {
    await part('line=1&count=1'); // or to the login, if the session is over
  } catch {
    // The server is away, and is asked again by what follows.
  }
  attach(offset);
}

/** Lines are not added any more: the reader is elsewhere, and there are too many. */
function detach() {
  attached = false;
  source?.close();
  source = null;
  say('paused');
}

function build({ title, parts }) {
  document.title = `${title} · Codeyard`;
  const focused = document.activeElement?.id;
  for (const [id, html] of Object.entries(parts)) {
    const place = at(id);
    if (!place) continue;
    // What the server made of its templates, all of it escaped there.
    place.innerHTML = html;
  }
  tick();
  if (focused && document.activeElement === document.body) at(focused)?.focus();
}

function say(text) {
  at('log-state').textContent = text;
}

// ── where the reader is ──

function toEnd() {
  lines.scrollTop = lines.scrollHeight;
  put = lines.scrollTop;
}

function atEnd() {
  return lines.scrollHeight - lines.scrollTop - lines.clientHeight < SLACK;
}

lines.addEventListener('scroll', () => {
  const there = atEnd();
  // Lines that grew, or a button that came, do not mean that the reader went up.
  const now = attached && (there || (following && lines.scrollTop >= put - 1));
  if (there) put = lines.scrollTop;
  if (now === following) return;
  following = now;
  if (following) trim(KEPT);
  edges();
});

new ResizeObserver(() => following && toEnd()).observe(lines);

async function part(query) {
  const answer = await fetch(`${path}/log/part?${query}`);
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

/** The last lines, and what follows. */
async function end() {
  const last = await part('count=2000');
  detach();
  clear(last.line);
  append(last.text);
  following = true;
  attach(last.end);
  edges();
  toEnd();
  find.again();
}

/** Lines about this one. */
async function about(number) {
  const begun = Math.max(1, number - 200);
  const found = await part(`line=${begun}&count=${PART}`);
  if (!found.text) return end();
  detach();
  clear(found.line);
  append(found.text);
  following = false;
  if (found.last) attach(found.end);
  edges();
}

async function more() {
  const first = shown[0].number;
  const begun = Math.max(1, first - PART);
  const found = await part(`line=${begun}&count=${first - begun}`);
  if (shown[0]?.number !== first) return;
  const [was, kept, number] = [open, pen, next];
  const height = lines.scrollHeight - lines.scrollTop;
  open = null;
  pen = new Pen();
  next = found.line;
  const before = [];
  const text = found.text.endsWith('\n') ? found.text : `${found.text}\n`;
  rows.prepend(...write(text, before));
  // A part is bounded in bytes too: then it ends before the line that was the first.
  if (next < first) {
    shown = before;
    while (rows.children.length > before.length) rows.lastChild.remove();
    open = null;
    detach();
  } else {
    shown = before.concat(shown);
    [open, pen, next] = [was, kept, number];
    if (shown.length > MOST) {
      for (const line of shown.splice(MOST)) line.element.remove();
      open = null;
      next = shown.at(-1).number + 1;
      detach();
    }
  }
  following = false;
  lines.scrollTop = lines.scrollHeight - height;
  edges();
  find.again();
}

async function rest() {
  const found = await part(`line=${next - (open ? 1 : 0)}&count=${PART}`);
  if (open) {
    shown.pop().element.remove();
    next--;
    open = null;
  }
  append(found.text);
  if (found.last) attach(found.end);
  while (shown.length > MOST) shown.shift().element.remove();
  edges();
  find.again();
}

function target(line) {
  for (const each of rows.querySelectorAll('.target')) each.classList.remove('target');
  line.element.classList.add('target');
  following = false;
  lines.scrollTop += line.element.getBoundingClientRect().top - lines.getBoundingClientRect().top - 60;
  following = attached && atEnd();
  edges();
}

/** To the line or the phase that the address names. */
async function go() {
  const name = decodeURIComponent(location.hash.slice(1));
  const phase = /^phase-([A-Z_]+)$/.exec(name)?.[1];
  let number = Number(/^L(\d+)$/.exec(name)?.[1] || 0);
  if (phase) {
    const here = shown.find((line) => line.element.dataset.phase === phase);
    number = here ? here.number : (await part(`phase=${phase}`)).line;
  }
  if (!number) return false;
  const known = () => shown.find((line) => line.number === number);
  if (!known()) await about(number);
  if (known()) target(known());
  if (phase) lines.scrollIntoView({ block: 'nearest' });
  return true;
}

// ── search in what is loaded ──

const find = {
  hits: [],
  now: -1,
  text: '',

  look(text) {
    this.text = text.toLowerCase();
    this.again();
    this.step(this.hits.length ? 0 : 1, this.hits.length - 1);
  },

  again() {
    for (const line of this.hits) line.element.classList.remove('hit', 'now');
    const before = this.hits[this.now];
    this.hits = this.text ? shown.filter((line) => line.row.text.toLowerCase().includes(this.text)) : [];
    this.now = before ? this.hits.indexOf(before) : -1;
    for (const line of this.hits) line.element.classList.add('hit');
    this.hits[this.now]?.element.classList.add('now');
    this.light();
    this.count();
  },

  /** Goes to the next or the previous of those found, from the one after `from`. */
  step(way, from = this.now) {
    if (!this.hits.length) return;
    this.hits[this.now]?.element.classList.remove('now');
    this.now = (from + way + this.hits.length) % this.hits.length;
    const line = this.hits[this.now];
    line.element.classList.add('now');
    following = false;
    const box = lines.getBoundingClientRect();
    const place = line.element.getBoundingClientRect();
    if (place.top < box.top || place.bottom > box.bottom) lines.scrollTop += place.top - box.top - box.height / 3;
    edges();
    this.count();
  },

  count() {
    at('find-count').textContent = !this.text ? '' : this.hits.length ? `${this.now + 1} / ${this.hits.length}` : 'none';
  },

  light() {
    if (!globalThis.CSS?.highlights) return;
    const ranges = [];
    for (const line of this.hits.slice(0, 2000)) {
      const walk = document.createTreeWalker(line.element.lastChild, NodeFilter.SHOW_TEXT);
      for (let node; (node = walk.nextNode()); ) {
        const text = node.data.toLowerCase();
        if (text.length !== node.data.length) continue; // some letters are longer in lower case
        for (let i = text.indexOf(this.text); i >= 0; i = text.indexOf(this.text, i + this.text.length)) {
          const range = new Range();
          range.setStart(node, i);
          range.setEnd(node, i + this.text.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set('found', new Highlight(...ranges));
  },
};

// ── the page ──

const trying = (act) => () => act().catch((error) => say(String(error.message || error)));

earlier.addEventListener('click', trying(more));
later.addEventListener('click', trying(rest));
jump.addEventListener('click', trying(async () => {
  if (!attached) return end();
  following = true;
  edges();
  toEnd();
}));
addEventListener('hashchange', trying(go));
document.addEventListener('click', (event) => {
  // The same phase again, after the reader has gone elsewhere: the address does not change.
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.getAttribute('href') === location.hash) trying(go)();
});
at('find').addEventListener('submit', (event) => event.preventDefault());
at('find-text').addEventListener('input', (event) => find.look(event.target.value));
at('find-text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter') find.step(event.shiftKey ? -1 : 1);
  if (event.key === 'Escape') {
    event.target.value = '';
    find.look('');
    lines.focus();
  }
});
at('find-next').addEventListener('click', () => find.step(1));
at('find-before').addEventListener('click', () => find.step(-1));
at('wrap').addEventListener('click', (event) => {
  const wrapped = lines.classList.toggle('unwrapped');
  event.target.setAttribute('aria-pressed', String(!wrapped));
  if (following) toEnd();
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  at('find-text').focus();
});

for (const id of ['lines', 'find', 'wrap']) at(id).hidden = false;
trying(async () => {
  await end();
  await go();
})();
