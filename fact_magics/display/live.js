// The live view of a cell, until its record takes the place.
//
// Whatever a model or a tool wrote enters the page as text, never as markup. What is shown grows at its end, in
// lines of bounded length and number, so that a page stays as quick after a megabyte as it was before.

const TICK = 200; // milliseconds: each repaint of a notebook costs the page five of them
const LONGEST = 1000; // characters; a longer line is continued on the next
const MOST = 2000; // lines

// Half as bright as white, so that each is readable on a light page and on a dark one.
const COLOURS = ["#767676", "#d23c37", "#21863a", "#9a6f00", "#2170d0", "#b045a8", "#0f7f86", "#767676"];

function make(tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = `fact-${name}`;
  if (text) node.textContent = text;
  return node;
}

function fill(node, pieces) {
  node.replaceChildren(...pieces.map(([name, text]) => (name ? make("span", name, text) : text)));
}

function seconds(count) {
  const whole = Math.floor(count);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// Python, a line at a time: `open` is the quote of a string that began on a line before.

const KEYWORDS = new Set(
  ("False None True and as assert async await break case class continue def del elif else except finally for from " +
    "global if import in is lambda match nonlocal not or pass raise return try while with yield").split(" "),
);
const BUILTINS = new Set(
  ("abs all any bool bytes dict enumerate filter float format frozenset getattr int isinstance len list map max min " +
    "next object print range repr reversed round self set sorted str sum super tuple type zip").split(" "),
);
const TOKEN = /(#.*)|([rbuft]{0,2})("""|'''|"|')|(\d[\w.]*)|(@[\w.]+)|([^\W\d]\w*)/giu;

function closing(line, from, quote) {
  for (let at = line.indexOf(quote, from); at >= 0; at = line.indexOf(quote, at + 1)) {
    let before = at;
    while (before > from && line[before - 1] === "\\") before--;
    if ((at - before) % 2 === 0) return at + quote.length;
  }
  return -1;
}

function highlight(line, open) {
  const pieces = [];
  let at = 0;
  let named = false;
  const add = (name, end) => {
    if (end > at) pieces.push([name, line.slice(at, end)]);
    at = end;
  };
  const string = (from, quote) => {
    const end = closing(line, from, quote);
    add("string", end < 0 ? line.length : end);
    return end < 0 && quote.length === 3 ? quote : "";
  };
  if (open) open = string(0, open);
  TOKEN.lastIndex = at;
  for (let token; !open && (token = TOKEN.exec(line)); TOKEN.lastIndex = at) {
    const [text, comment, , quote, number, decorator, word] = token;
    const end = token.index + text.length;
    add("", token.index);
    if (quote) {
      open = string(end, quote);
    } else if (comment) {
      add("comment", end);
    } else if (number) {
      add("number", end);
    } else if (decorator) {
      add(line.slice(0, token.index).trim() ? "" : "meta", end);
    } else {
      const kind = KEYWORDS.has(word) ? "keyword" : BUILTINS.has(word) ? "builtin" : "";
      add(named && !kind ? "def" : kind, end);
      named = word === "def" || word === "class";
    }
  }
  add("", line.length);
  return [pieces, open];
}

// A box of lines with a scroll of its own, which follows the end unless someone scrolled up.

class Pane {
  constructor(label) {
    this.node = make("div", "pane");
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "group");
    this.node.setAttribute("aria-label", label);
    this.node.hidden = true;
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

  append(line) {
    this.node.hidden = false;
    this.node.append(line);
  }

  trim(count, gone) {
    if (gone <= 0) return;
    if (!this.note.parentNode) this.node.prepend(this.note);
    this.note.textContent = `… ${gone.toLocaleString()} lines before these`;
    for (; count > 0; count--) this.note.nextSibling.remove();
  }
}

// What a model writes: code in fences, prose around it; code from the start, if it looks so.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*(\w*)/;
const BEGUN_FENCE = /^ {0,3}(`{1,}|~{1,})\w*$/;
const CODE = /^(?:def|class|import|from|async def|@\w|"""|#!|# )/;

class Writing {
  constructor() {
    this.pane = new Pane("The text as it is written");
    this.tail = "";
    this.line = null;
    this.lines = this.gone = 0;
    this.kind = "prose";
    this.fence = "";
    this.open = "";
  }

  write(text) {
    this.pane.change(() => {
      text.split("\n").forEach((part, index) => {
        if (index) this.end();
        this.tail += part;
        while (this.tail.length > LONGEST) this.fold();
      });
      this.paint();
      const gone = this.lines - MOST;
      this.pane.trim(gone - this.gone, gone);
      this.gone = Math.max(0, gone);
    });
  }

  fold() {
    const rest = this.tail.slice(LONGEST);
    this.tail = this.tail.slice(0, LONGEST);
    this.commit();
    this.tail = rest;
  }

  end() {
    const fence = this.open ? null : FENCE.exec(this.tail);
    if (fence && !this.fence) {
      this.fence = fence[1];
      this.kind = /^(|py|python3?)$/i.test(fence[2]) ? "code" : "prose";
      this.drop();
    } else if (fence && fence[1].startsWith(this.fence) && !fence[2]) {
      this.fence = "";
      this.kind = "prose";
      this.drop();
    } else if (this.lines || this.tail.trim()) {
      this.commit();
    } else {
      this.drop();
    }
  }

  drop() {
    this.line?.remove();
    this.line = null;
    this.tail = "";
  }

  commit() {
    if (!this.lines && !this.fence && CODE.test(this.tail)) this.kind = "code";
    this.open = this.paint() ?? "";
    if (!this.line) this.begin();
    this.lines++;
    this.line = null;
    this.tail = "";
  }

  begin() {
    this.line = make("span", this.kind);
    this.pane.append(this.line);
  }

  paint() {
    if (!this.tail) return this.open;
    const hidden = !this.open && BEGUN_FENCE.test(this.tail);
    if (hidden && !this.line) return this.open;
    if (!this.line) this.begin();
    if (this.kind === "prose") {
      this.line.textContent = this.tail;
      return "";
    }
    const [pieces, open] = highlight(this.tail, this.open);
    fill(this.line, pieces);
    return open;
  }
}

// One attempt: its text, its examples, and why it was not taken.

class Attempt {
  constructor(examples, total) {
    this.node = make("div", "attempt");
    this.writing = new Writing();
    this.examples = examples.map((call) => {
      const item = make("li", "pending");
      item.append(make("span", "mark", "○"), " ", make("code", "", call));
      return item;
    });
    this.list = make("ul", "examples");
    this.list.append(...this.examples);
    if (total > examples.length) this.list.append(make("li", "more", `and ${total - examples.length} more`));
    this.list.hidden = true;
    this.notes = make("ul", "notes");
    this.notes.hidden = true;
    this.missed = this.proven = 0;
    this.node.append(this.writing.pane.node, this.list, this.notes);
  }

  prove(number, holds, got, expected) {
    this.list.hidden = false;
    this.proven++;
    if (!holds) this.missed++;
    const item = this.examples[number - 1];
    if (!item) return;
    item.className = holds ? "fact-holds" : "fact-fails";
    item.firstChild.textContent = holds ? "✓" : "✗";
    if (holds) {
      item.append(" → ", make("code", "", got));
    } else {
      item.append(" gave ", make("code", "", got), ", expected ", make("code", "", expected));
    }
    this.list.scrollTop = item.offsetTop - this.list.offsetTop;
  }

  say(mark, text) {
    const item = make("li");
    item.append(make("span", "mark", mark), ` ${text}`);
    this.notes.append(item);
    this.notes.hidden = false;
  }
}

class Generation {
  constructor(root) {
    this.root = root;
    this.next = 0;
    this.pending = "";
    this.arrived = 0;
    this.share = 0;
    this.characters = 0;
    this.phase = ["waiting", ""];
    this.model = "";
    this.attempt = null;
    this.number = 0;
    this.examples = [[], 0];
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  update(model) {
    for (let steps; (steps = model.get(`p${this.next}`)); this.next++) {
      for (const [name, ...values] of steps) this[`on_${name}`](...values);
    }
  }

  on_examples(calls, total) {
    this.examples = [calls, total];
  }

  on_attempt(number, of, model) {
    this.flush();
    this.model = model;
    if (this.attempt) this.fold();
    this.number = number;
    this.attempt = null;
  }

  on_phase(name, detail) {
    this.flush();
    this.phase = [name, detail];
    if (name === "proving") this.current().list.hidden = !this.examples[1];
  }

  on_text(text) {
    // Text comes a few times a second; it is played out evenly until the next is due.
    const now = performance.now();
    const pace = Math.min(600, Math.max(100, now - this.arrived));
    this.arrived = now;
    this.characters += text.length;
    this.pending += text;
    this.share = Math.ceil((this.pending.length * TICK) / pace);
  }

  on_example(number, holds, got, expected) {
    this.current().prove(number, holds, got, expected);
  }

  on_failed(failures) {
    this.flush();
    for (const failure of failures) this.current().say("✗", failure);
  }

  on_note(text) {
    this.flush();
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
    const { node, missed } = this.attempt;
    const why = missed ? `${missed} of ${this.examples[1]} examples failed` : "not accepted";
    const details = make("details", "earlier");
    details.append(make("summary", "", `Attempt ${this.number}: ${why}`));
    node.replaceWith(details);
    details.append(node);
  }

  play() {
    if (!this.pending) return false;
    this.show(this.still || document.hidden || this.pending.length > 8000 ? this.pending.length : this.share);
    return true;
  }

  flush() {
    if (this.pending) this.show(this.pending.length);
  }

  show(count) {
    this.current().writing.write(this.pending.slice(0, count));
    this.pending = this.pending.slice(count);
  }

  get count() {
    return this.characters ? `≈ ${Math.max(1, Math.round(this.characters / 4)).toLocaleString()} tokens` : "";
  }
}

class Run {
  constructor(root) {
    this.pane = new Pane("What the tool printed");
    this.rows = [];
    this.first = 0;
    this.phase = ["queued", ""];
    this.model = "";
    this.count = "";
    root.append(this.pane.node);
  }

  update(model) {
    this.phase = model.get("phase") ?? this.phase;
    if (model.get("end")) this.pane.change(() => this.show(model));
  }

  // The state holds every row that is kept, and says which the last change was about.
  show(model) {
    const [first, end, kept] = ["first", "end", "kept"].map((key) => model.get(key));
    const changed = new Set(model.get("changed"));
    const over = this.rows.splice(0, first - this.first);
    this.pane.trim(over.length, first);
    this.first = first;
    for (const row of this.rows.splice(end - first)) row.remove();
    while (this.rows.length < end - first) {
      changed.add(first + this.rows.length);
      this.rows.push(make("span", "row"));
      this.pane.append(this.rows.at(-1));
    }
    for (const number of changed) {
      const runs = model.get(`r${number % kept}`) ?? [];
      this.rows[number - first]?.replaceChildren(...runs.map(this.run));
    }
  }

  // Styles are words: b, d, i, u, and c or g with the number of a colour before or behind the text.
  run([style, text]) {
    const node = make("span", style.replaceAll(" ", " fact-"), text);
    for (const [, ground, number] of style.matchAll(/\b([cg])(\d+)/g)) {
      const colour = COLOURS[number % 8];
      if (ground === "g") node.style.cssText = `background:${colour};color:#fff`;
      else if (number % 8 % 7) node.style.color = `var(--fact-c${number % 8}, ${colour})`;
    }
    return node;
  }

  play() {
    return false;
  }
}

class View {
  constructor(model, el, born) {
    this.model = model;
    this.born = born;
    this.root = make("section", "live");
    this.root.setAttribute("aria-label", model.get("title"));
    this.head = make("div", "head");
    this.phase = make("span", "phase");
    this.phase.setAttribute("role", "status");
    this.phase.setAttribute("aria-live", "polite");
    this.model_name = make("span", "name");
    this.time = make("span", "time");
    this.count = make("span", "time");
    this.head.append(make("strong", "", model.get("title")), this.model_name, this.phase, this.time, this.count);
    this.root.append(this.head);
    this.body = model.get("kind") === "writing" ? new Generation(this.root) : new Run(this.root);
    this.stop = null;
    this.take = () => this.update();
    model.on("change", this.take);
    el.append(this.root);
    this.body.update(model);
    this.tick();
    if (model.get("asks")) model.send("ready");
  }

  update() {
    this.body.update(this.model);
    if (this.model.get("stop") && !this.stop) this.offer();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tick(), this.ticked + TICK - performance.now());
  }

  offer() {
    this.stop = make("button", "stop", "Stop");
    this.stop.type = "button";
    this.stop.addEventListener("click", () => {
      this.stop.disabled = true;
      this.stop.textContent = "Stopping";
      this.model.send("stop");
    });
    this.head.append(this.stop);
  }

  tick() {
    this.ticked = performance.now();
    const moves = this.body.play();
    this.set(this.phase, this.body.phase.join(" ").trim());
    this.set(this.model_name, this.body.model);
    const age = seconds((this.ticked - this.born) / 1000);
    if (age !== this.time.textContent) {
      this.time.textContent = age;
      this.set(this.count, this.body.count);
    }
    this.timer = setTimeout(() => this.tick(), moves ? TICK : 250);
  }

  set(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  close() {
    clearTimeout(this.timer);
    this.model.off("change", this.take);
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
