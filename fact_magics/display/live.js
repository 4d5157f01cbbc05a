// The live view of a cell, until its record replaces it.
//
// Text from a model or a tool enters the page as text, never as markup. Changes touch single lines, and the
// number and the length of the lines are limited, so the page stays fast however much is written.

const TICK = 200; // milliseconds; a repaint of a notebook takes about 5 ms
const LONGEST = 1000; // characters; longer lines are folded
const MOST = 2000; // lines; older ones are removed

// Each colour is about half as bright as white, so it is readable on a light page and on a dark one.
const COLOURS = ["#767676", "#d23c37", "#21863a", "#9a6f00", "#2170d0", "#b045a8", "#0f7f86", "#767676"];

function make(tag, name = "", ...children) {
  const node = document.createElement(tag);
  if (name) node.className = `fact-${name}`;
  node.append(...children);
  return node;
}

// Show pieces, each a style and a text. The words of a style are names of classes, or "c" and "g" followed by the
// number of a colour for the text and for its background.
function fill(node, pieces) {
  const styled = ([style, text]) => {
    if (!style) return text;
    const span = make("span", style.replaceAll(" ", " fact-"), text);
    for (const [, ground, number] of style.matchAll(/\b([cg])(\d+)/g)) {
      if (ground === "g") span.style.cssText = `background:${COLOURS[number % 8]};color:#fff`;
      else if ((number % 8) % 7) span.style.color = `var(--fact-c${number % 8})`;
    }
    return span;
  };
  node.replaceChildren(...pieces.map(styled));
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function seconds(count) {
  const whole = Math.floor(count);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const KEYWORDS = new Set(
  ("False None True and as assert async await break case class continue def del elif else except finally for from " +
    "global if import in is lambda match nonlocal not or pass raise return try while with yield").split(" "),
);
const BUILTINS = new Set(
  ("abs all any bool bytes dict enumerate filter float format frozenset getattr int isinstance len list map max min " +
    "next object print range repr reversed round self set sorted str sum super tuple type zip").split(" "),
);
const TOKEN =
  /(?<comment>#.*)|[rbuft]{0,2}(?<quote>"""|'''|"|')|(?<number>\d[\w.]*)|(?<meta>@[\w.]+)|(?<word>[^\W\d]\w*)/giu;

// Highlight a line of Python. `open` is the quote of a string that began on an earlier line. Return the pieces and
// the quote of a string that continues on the next line.
function highlight(line, open) {
  const pieces = [];
  let at = 0;
  let named = false;
  const add = (name, end) => {
    if (end > at) pieces.push([name, line.slice(at, end)]);
    at = end;
  };
  const string = (from, quote) => {
    const rest = new RegExp(`(?:[^\\\\]|\\\\.)*?${quote}`, "y");
    rest.lastIndex = from;
    const closed = rest.test(line);
    add("string", closed ? rest.lastIndex : line.length);
    return closed || quote.length < 3 ? "" : quote;
  };
  if (open) open = string(0, open);
  TOKEN.lastIndex = at;
  for (let token; !open && (token = TOKEN.exec(line)); TOKEN.lastIndex = at) {
    const [kind, text] = Object.entries(token.groups).find(([, found]) => found);
    const end = token.index + token[0].length;
    add("", token.index);
    if (kind === "quote") {
      open = string(end, text);
    } else if (kind === "meta") {
      add(line.slice(0, token.index).trim() ? "" : "meta", end);
    } else if (kind === "word") {
      const known = KEYWORDS.has(text) ? "keyword" : BUILTINS.has(text) ? "builtin" : "";
      add(known || (named ? "def" : ""), end);
      named = text === "def" || text === "class";
    } else {
      add(kind, end);
    }
  }
  add("", line.length);
  return [pieces, open];
}

// A box of lines with its own scroll bar. It follows its end unless the user scrolled up.
class Pane {
  constructor(label) {
    this.node = make("div", "pane");
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "group");
    this.node.setAttribute("aria-label", label);
    this.note = make("span", "skipped");
    this.bottom = 0;
  }

  change(action) {
    const stays = this.node.scrollTop < this.bottom - 4;
    action();
    if (stays) return;
    this.node.scrollTop = this.node.scrollHeight;
    this.bottom = this.node.scrollTop;
  }

  // Remove the first `count` lines; `gone` is the number of all lines removed so far.
  trim(count, gone) {
    if (gone <= 0) return;
    if (!this.note.parentNode) this.node.prepend(this.note);
    this.note.textContent = `… ${gone.toLocaleString()} earlier lines`;
    for (; count > 0; count--) this.note.nextSibling.remove();
  }
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*(\w*)/;
const BEGUN_FENCE = /^ {0,3}(`{1,}|~{1,})\w*$/;
const CODE = /^(?:def|class|import|from|async def|@\w|"""|#!|# )/;

// A model's text: fenced code with prose around it, or only code if the text begins like code.
class Writing extends Pane {
  constructor() {
    super("Text from the model");
    this.tail = ""; // the beginning of the last line
    this.line = null; // the element of the last line
    this.lines = this.gone = 0;
    this.kind = "prose";
    this.fence = this.open = "";
  }

  write(text) {
    this.change(() => {
      text.split("\n").forEach((part, index) => {
        if (index) this.end();
        this.tail += part;
        while (this.tail.length > LONGEST) {
          const rest = this.tail.slice(LONGEST);
          this.tail = this.tail.slice(0, LONGEST);
          this.commit();
          this.tail = rest;
        }
      });
      this.paint();
      const gone = this.lines - MOST;
      this.trim(gone - this.gone, gone);
      this.gone = Math.max(0, gone);
    });
  }

  end() {
    const fence = this.open ? null : FENCE.exec(this.tail);
    if (fence && !this.fence) {
      this.fence = fence[1];
      this.kind = /^(|py|python3?)$/i.test(fence[2]) ? "code" : "prose";
    } else if (fence && fence[1].startsWith(this.fence) && !fence[2]) {
      this.fence = "";
      this.kind = "prose";
    } else if (this.lines || this.tail.trim()) {
      this.commit();
      return;
    }
    this.line?.remove();
    this.line = null;
    this.tail = "";
  }

  commit() {
    if (!this.lines && !this.fence && CODE.test(this.tail)) this.kind = "code";
    this.open = this.paint();
    if (!this.line) this.begin();
    this.lines++;
    this.line = null;
    this.tail = "";
  }

  begin() {
    this.line = make("span", this.kind);
    this.node.append(this.line);
  }

  // Show the last line and return the quote of a string that is still open.
  paint() {
    if (!this.tail) return this.open;
    if (!this.line && !this.open && BEGUN_FENCE.test(this.tail)) return this.open;
    if (!this.line) this.begin();
    const [pieces, open] = this.kind === "prose" ? [[["", this.tail]], ""] : highlight(this.tail, this.open);
    fill(this.line, pieces);
    return open;
  }
}

// One attempt: its text, its examples, and why it was rejected.
class Attempt {
  constructor(examples, total) {
    this.writing = new Writing();
    this.examples = examples.map((call) =>
      make("li", "pending", make("span", "mark", "○"), " ", make("code", "", call)),
    );
    this.list = make("ul", "examples", ...this.examples);
    if (total > examples.length) this.list.append(make("li", "", `and ${total - examples.length} more`));
    this.list.hidden = true;
    this.notes = make("ul", "notes");
    this.missed = 0;
    this.node = make("div", "attempt", this.writing.node, this.list, this.notes);
  }

  prove(number, holds, got, expected) {
    this.list.hidden = false;
    if (!holds) this.missed++;
    const item = this.examples[number - 1];
    if (!item) return;
    item.className = holds ? "fact-holds" : "fact-fails";
    item.firstChild.textContent = holds ? "✓" : "✗";
    // What it gave comes last, since it may end in a hint.
    if (!holds) item.append(" should give ", make("code", "", expected));
    item.append(holds ? " → " : ", but gave ", make("code", "", got));
    this.list.scrollTop = item.offsetTop - this.list.offsetTop;
  }

  say(mark, text) {
    this.notes.append(make("li", "", make("span", "mark", mark), ` ${text}`));
  }

  // How its examples went, in a few words.
  result(count) {
    const failed = count === 1 ? "the only example failed" : `${this.missed} of ${count} examples failed`;
    return this.missed ? failed : "not accepted";
  }

  // Put it into a fold of its own, beside those of the other candidates.
  wrap(title, open) {
    this.title = title;
    this.summary = make("summary", "", title);
    this.details = make("details", "earlier", this.summary, this.node);
    this.details.open = open;
  }

  tell(phase) {
    this.summary.textContent = `${this.title}: ${phase}`;
  }
}

// A generation. The kernel sends steps: the name of a method below, without "on_", and its arguments.
class Generation {
  constructor(root) {
    this.root = root;
    this.pending = this.count = this.model = "";
    this.arrived = this.share = this.characters = this.number = this.next = 0;
    this.phase = ["waiting", ""];
    this.attempt = null;
    this.candidates = new Map(); // those that are written at the same time, by their numbers
    this.turn = this.ended = this.beside = 0;
    this.examples = [[], 0];
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  update(model) {
    for (let steps; (steps = model.get(`p${this.next}`)); this.next++) {
      for (const [name, ...values] of steps) {
        if (name !== "text" && name !== "example") this.flush();
        this[`on_${name}`](...values);
      }
    }
  }

  on_examples(calls, total) {
    this.examples = [calls, total];
  }

  on_attempt(number, of, model, beside = 1) {
    this.model = model;
    // Before the first attempt there may be notes.
    if (this.number && this.attempt && !this.attempt.details) this.fold();
    if (this.number) this.attempt = null;
    this.number = number;
    this.turn = 0;
    if (beside < 2) return;
    this.turn = number;
    this.beside = beside;
    const is_first = number === of - beside + 1;
    if (is_first) this.ended = 0;
    this.count_ended();
    this.attempt = new Attempt(...this.examples);
    this.attempt.wrap(`Candidate ${number} of ${of}`, is_first);
    this.candidates.set(number, this.attempt);
    this.root.append(this.attempt.details);
  }

  on_turn(number) {
    this.turn = number;
    if (number) this.attempt = this.candidates.get(number);
  }

  on_held() {
    this.end(this.examples[1] ? "✓ all examples hold" : "✓ accepted");
  }

  end(result) {
    this.attempt.tell(result);
    this.ended++;
    this.count_ended();
  }

  count_ended() {
    this.phase = ["candidates", `${this.ended}/${this.beside}`];
  }

  on_phase(name, detail) {
    if (this.turn) this.attempt.tell(`${name} ${detail}`.trim());
    else this.phase = [name, detail];
    if (name === "proving") this.current().list.hidden = !this.examples[1];
  }

  on_text(text) {
    // Text arrives a few times a second; each piece is shown gradually until the next one is due.
    const now = performance.now();
    const pace = Math.min(600, Math.max(100, now - this.arrived));
    this.arrived = now;
    this.characters += text.length;
    this.count = `≈ ${Math.max(1, Math.round(this.characters / 4)).toLocaleString()} tokens`;
    this.pending += text;
    this.share = Math.ceil((this.pending.length * TICK) / pace);
  }

  on_example(...verdict) {
    this.current().prove(...verdict);
  }

  on_failed(failures) {
    for (const failure of failures) this.current().say("✗", failure);
    if (this.turn) this.end(`✗ ${this.attempt.result(this.examples[1])}`);
  }

  on_note(text) {
    this.current().say("·", text);
  }

  current() {
    if (!this.attempt) {
      this.attempt = new Attempt(...this.examples);
      this.root.append(this.attempt.node);
    }
    return this.attempt;
  }

  fold() {
    const { node } = this.attempt;
    const why = this.attempt.result(this.examples[1]);
    const details = make("details", "earlier", make("summary", "", `Attempt ${this.number}: ${why}`));
    node.replaceWith(details);
    details.append(node);
  }

  // Show the next piece of waiting text and return whether there was any.
  play() {
    if (!this.pending) return false;
    if (this.still || document.hidden || this.pending.length > 8000) this.flush();
    else this.show(this.share);
    return true;
  }

  flush() {
    if (this.pending) this.show(this.pending.length);
  }

  show(count) {
    this.current().writing.write(this.pending.slice(0, count));
    this.pending = this.pending.slice(count);
  }
}

// A run: the rows of the screen that the tool prints to.
class Run extends Pane {
  constructor(root) {
    super("Printed text");
    this.rows = [];
    this.first = 0;
    this.phase = ["queued", ""];
    this.model = this.count = "";
    root.append(this.node);
  }

  update(model) {
    this.phase = model.get("phase") ?? this.phase;
    if (model.get("end")) this.change(() => this.show(model));
  }

  // The state holds all rows that are kept and the numbers of those that changed last.
  show(model) {
    const [first, end, kept] = ["first", "end", "kept"].map((key) => model.get(key));
    const changed = new Set(model.get("changed"));
    this.trim(this.rows.splice(0, first - this.first).length, first);
    this.first = first;
    for (const row of this.rows.splice(end - first)) row.remove();
    while (this.rows.length < end - first) {
      changed.add(first + this.rows.length);
      this.rows.push(make("span", "row"));
      this.node.append(this.rows.at(-1));
    }
    for (const number of changed) {
      const row = this.rows[number - first];
      if (row) fill(row, model.get(`r${number % kept}`) ?? []);
    }
  }
}

// A map: a bar, and in the head how far it is. The kernel sends both.
class Progress {
  constructor(root) {
    this.bar = make("progress", "bar");
    this.bar.max = 1;
    this.bar.setAttribute("aria-label", "Rows that have ended");
    this.phase = ["starting", ""];
    this.model = this.count = "";
    root.append(this.bar);
  }

  update(model) {
    this.phase = [model.get("told") ?? "starting", ""];
    const share = model.get("share");
    if (share == null) this.bar.removeAttribute("value");
    else this.bar.value = share;
  }
}

const BODIES = { writing: Generation, running: Run, mapping: Progress };

class View {
  constructor(model, el, born) {
    this.model = model;
    this.born = born;
    const title = model.get("title");
    this.phase = make("span", "phase");
    this.phase.setAttribute("role", "status");
    this.phase.setAttribute("aria-live", "polite");
    this.name = make("span");
    this.time = make("span", "time");
    this.count = make("span", "time");
    this.stop = make("button", "stop", "Stop");
    this.stop.type = "button";
    this.stop.hidden = !model.get("stop");
    this.stop.addEventListener("click", () => {
      this.stop.disabled = true;
      this.stop.textContent = "Stopping";
      model.send("stop");
    });
    const facts = [this.name, this.phase, this.time, this.count, this.stop];
    this.root = make("section", "live", make("div", "head", make("strong", "", title), ...facts));
    this.root.setAttribute("aria-label", title);
    this.body = new BODIES[model.get("kind")](this.root);
    model.on("change", this.update);
    el.append(this.root);
    this.body.update(model);
    this.tick();
    if (model.get("asks")) model.send("ready");
  }

  update = () => {
    this.body.update(this.model);
    if (this.model.get("stop")) this.stop.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.tick, this.ticked + TICK - performance.now());
  };

  tick = () => {
    this.ticked = performance.now();
    const moves = this.body.play?.();
    set(this.phase, this.body.phase.join(" ").trim());
    set(this.name, this.body.model);
    const age = seconds((this.ticked - this.born) / 1000);
    if (age !== this.time.textContent) {
      this.time.textContent = age;
      set(this.count, this.body.count);
    }
    this.timer = setTimeout(this.tick, moves ? TICK : 250);
  };

  close() {
    clearTimeout(this.timer);
    this.model.off("change", this.update);
    this.root.remove();
  }
}

export default () => {
  let born = 0;
  return {
    initialize({ model }) {
      born = performance.now() - 1000 * model.get("seconds");
    },
    render({ model, el }) {
      const view = new View(model, el, born);
      return () => view.close();
    },
  };
};
