// Lines of a log as a terminal would show them: colours and styles (SGR), progress lines that are written over.
// Everything else that a terminal obeys is left out. Text becomes text nodes, never markup.

const LONGEST = 20000; // characters of a line that are shown
const ORDERS = new RegExp(
  '\\x1b\\[([0-?]*)[ -/]*([@-~])' + // control sequences
    '|\\x1b[\\]PX^_][^\\x07\\x1b\\n]*(?:\\x07|\\x1b\\\\)' + // titles, links and other strings
    '|\\x1b[ -/]*[0-Z\\\\^-~]|(\\r)|[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]',
  'g',
);
const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|[ -/]*)?$/;
const PLAIN = Object.freeze({ fg: null, bg: null });
const FLAGS = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'under', 9: 'strike' };
const CLEARED = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['under'], 27: ['inverse'], 29: ['strike'] };
const LEVELS = [0, 95, 135, 175, 215, 255];

/** The style that goes on from one line to the next. */
export class Pen {
  constructor() {
    this.reset();
  }

  reset() {
    this.style = PLAIN;
    this.held = ''; // the beginning of an order that was cut
  }
}

/** One line, which may be written in parts. */
export class Row {
  constructor() {
    this.runs = []; // [style, text]
    this.length = 0;
    this.over = 0; // characters that were too many
    this.returned = false;
  }

  write(text, pen) {
    let all = pen.held + text;
    pen.held = '';
    const cut = UNFINISHED.exec(all);
    if (cut && cut[0].length < 64) {
      pen.held = cut[0];
      all = all.slice(0, cut.index);
    }
    let at = 0;
    ORDERS.lastIndex = 0;
    for (let found; (found = ORDERS.exec(all)); at = ORDERS.lastIndex) {
      this.#put(all.slice(at, found.index), pen.style);
      if (found[3]) this.returned = true;
      else if (found[2] === 'm') pen.style = styled(pen.style, found[1]);
      else if (found[2] === 'K' && (found[1] === '2' || this.returned)) this.#clear();
    }
    this.#put(all.slice(at), pen.style);
  }

  get text() {
    return this.runs.map((run) => run[1]).join('');
  }

  /** Shows the line in this element. */
  paint(element) {
    const nodes = this.runs.map(([style, text]) => painted(style, text));
    if (this.over) nodes.push(` … ${this.over.toLocaleString('en')} more characters: see the whole log`);
    element.replaceChildren(...nodes);
  }

  #put(text, style) {
    if (!text) return;
    if (this.returned) this.#clear();
    const room = LONGEST - this.length;
    if (text.length > room) {
      this.over += text.length - room;
      text = text.slice(0, room);
      if (!text) return;
    }
    const last = this.runs.at(-1);
    if (last && last[0] === style) last[1] += text;
    else this.runs.push([style, text]);
    this.length += text.length;
  }

  #clear() {
    this.runs = [];
    this.length = this.over = 0;
    this.returned = false;
  }
}

/** The style after "select graphic rendition" with these parameters (ECMA-48 8.3.117, ITU T.416 for colours). */
export function styled(style, parameters) {
  if (/[^0-9;:]/.test(parameters)) return style;
  const codes = parameters.split(/[;:]/).slice(0, 64).map(Number);
  let now = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) now = { ...PLAIN };
    else if (FLAGS[code]) now[FLAGS[code]] = true;
    else if (code === 7) now.inverse = true;
    else if (CLEARED[code]) for (const flag of CLEARED[code]) delete now[flag];
    else if (code >= 30 && code <= 37) now.fg = code - 30;
    else if (code >= 40 && code <= 47) now.bg = code - 40;
    else if (code >= 90 && code <= 97) now.fg = code - 82;
    else if (code >= 100 && code <= 107) now.bg = code - 92;
    else if (code === 39) now.fg = null;
    else if (code === 49) now.bg = null;
    else if (code === 38 || code === 48) {
      const ground = code === 38 ? 'fg' : 'bg';
      if (codes[i + 1] === 5) {
        now[ground] = codes[i + 2] <= 255 ? codes[i + 2] : now[ground];
        i += 2;
      } else if (codes[i + 1] === 2) {
        // With colons there may be a colour space before the three: 38:2::R:G:B.
        const first = parameters.includes('::') ? i + 3 : i + 2;
        const rgb = codes.slice(first, first + 3);
        if (rgb.length === 3 && rgb.every((part) => part <= 255)) now[ground] = rgb;
        i = first + 2;
      }
    }
  }
  const same = Object.keys(now).length === 2 && now.fg === null && now.bg === null;
  return same ? PLAIN : now;
}

function painted(style, text) {
  if (style === PLAIN) return document.createTextNode(text);
  const span = document.createElement('span');
  span.textContent = text;
  for (const flag of Object.values(FLAGS)) if (style[flag]) span.classList.add(flag);
  let { fg, bg } = style;
  if (style.inverse) [fg, bg] = [bg ?? 0, fg ?? 7];
  if (style.inverse && style.bg === null) fg = [20, 24, 30];
  colour(span, 'f', 'color', fg, bg === null);
  colour(span, 'b', 'backgroundColor', bg, false);
  return span;
}

function colour(span, letter, property, value, onDark) {
  if (value === null) return;
  if (typeof value === 'number' && value < 16) {
    span.classList.add(letter + value);
    return;
  }
  const rgb = typeof value === 'number' ? cube(value) : value;
  span.style[property] = `rgb(${(onDark ? readable(rgb) : rgb).join(',')})`;
}

function cube(code) {
  if (code >= 232) return Array(3).fill(8 + (code - 232) * 10);
  const at = code - 16;
  return [LEVELS[Math.floor(at / 36)], LEVELS[Math.floor(at / 6) % 6], LEVELS[at % 6]];
}

/** A colour that can be read on the dark ground: what is too dark for it becomes lighter. */
function readable(rgb) {
  const light = (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255;
  if (light >= 0.4) return rgb;
  const mix = (0.4 - light) / (1 - light);
  return rgb.map((part) => Math.round(part + (255 - part) * mix));
}
