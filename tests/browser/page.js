// Functions that the tests call in a page: `inPage`, which is defined before the page loads.

const rgba = (colour) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = ([r, g, b, a], under) => [r, g, b].map((part, i) => part * a + under[i] * (1 - a));

// The colour behind a node, with translucent layers mixed.
const behind = (node) => {
  if (!node) return [255, 255, 255];
  const colour = rgba(getComputedStyle(node).backgroundColor);
  return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(node.parentElement));
};
const opacity = (node) => (node ? getComputedStyle(node).opacity * opacity(node.parentElement) : 1);

// Relative luminance as WCAG defines it.
const luminance = (colour) => {
  const [r, g, b] = colour
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

window.inPage = {
  get notebook() {
    return jupyterapp.shell.currentWidget.content;
  },

  get code() {
    return this.notebook.widgets.map(({ model }) => model).filter(({ type }) => type === "code");
  },

  // JupyterLab makes a notebook that was opened the current one a moment later.
  ready() {
    const panel = window.jupyterapp?.shell.currentWidget;
    if (this.opened && panel !== this.opened) return false;
    return panel?.context?.sessionContext.session?.kernel?.status === "idle";
  },

  // Other open notebooks are closed without saving.
  async open(path) {
    const { shell, commands, restored } = jupyterapp;
    await restored;
    this.opened = await commands.execute("docmanager:open", { path });
    for (const panel of [...shell.widgets("main")]) if (panel !== this.opened) panel.dispose();
    shell.activateById(this.opened.id);
    shell.collapseLeft();
  },

  async save() {
    const { context } = jupyterapp.shell.currentWidget;
    await context.save();
    return context.path;
  },

  scroll(cell) {
    this.notebook.scrollToItem(cell, "start");
  },

  counts() {
    return this.code.map(({ executionCount }) => executionCount);
  },

  // A cell that fails unexpectedly ends the wait for the cells after it. Kernels run cells in order, so the last cell
  // decides: on a busy machine, JupyterLab now and then leaves a cell that has run without its count.
  ran(count) {
    for (const model of this.code) {
      const error = model.outputs.toJSON().find((output) => output.output_type === "error");
      const expected = model.getMetadata("tags")?.includes("raises-exception");
      if (error && !expected && model.executionCount > count) throw new Error(error.traceback.join("\n"));
    }
    return this.code.findLast((model) => model.sharedModel.source).executionCount > count;
  },

  // Record what live views show, since their records replace them.
  watch() {
    this.observer?.disconnect();
    const saw = { views: 0, lengths: [], phases: [], rows: [], tallest: 0, keywords: 0, nodes: 0 };
    this.saw = saw;
    const note = (list, text) => list.includes(text) || list.push(text);
    let last = null;
    let pane = null;
    this.observer = new MutationObserver(() => {
      const live = document.querySelector(".fact-live");
      if (live && live !== last) saw.views += 1;
      last = live;
      if (!live) return;
      saw.nodes = Math.max(saw.nodes, document.querySelectorAll(".jp-OutputArea-output *").length);
      saw.keywords = Math.max(saw.keywords, live.querySelectorAll(".fact-keyword").length);
      note(saw.phases, live.querySelector(".fact-phase").textContent);
      for (const row of live.querySelectorAll(".fact-row")) note(saw.rows, row.textContent);
      pane ??= live.querySelector(".fact-attempt > .fact-pane"); // the first attempt's
      if (!pane?.isConnected) return;
      const length = pane.textContent.length;
      if (saw.lengths.at(-1) !== length) saw.lengths.push(length);
      saw.tallest = Math.max(saw.tallest, pane.clientHeight);
    });
    this.observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  },

  // Visible pieces of text whose contrast ratio, as WCAG defines it, is less than 4.5.
  faint(selector) {
    const faint = {};
    let count = 0;
    for (const root of document.querySelectorAll(selector)) {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim();
        const node = walker.currentNode.parentElement;
        if (!text || !node.checkVisibility()) continue;
        count += 1;
        const ground = behind(node);
        const [r, g, b, a] = rgba(getComputedStyle(node).color);
        const shown = luminance(over([r, g, b, a * opacity(node)], ground));
        const [dark, light] = [shown, luminance(ground)].sort((one, other) => one - other);
        const ratio = (light + 0.05) / (dark + 0.05);
        if (ratio < 4.5) faint[text.slice(0, 40)] = ratio;
      }
    }
    return [count, faint];
  },
};
