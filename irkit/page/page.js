"use strict";

// What can be chosen carries `data-g`, the number of its mark: the graph ops, source lines and kernels that it stands
// for. Choosing one thing marks all that share an op, a line or a kernel with it, and shows the best match of each pane.

const marks = JSON.parse(document.getElementById("marks").textContent);
const RELATIONS = ["", "same-kernel", "same-line", "same-op"];
const ITEM = "[data-g]";
const PANES = ".code, .panel";
const TOLD = 8; // names in a status line

const itemsOf = new Map();
for (const item of document.querySelectorAll(ITEM)) {
  const mark = Number(item.dataset.g);
  if (!itemsOf.has(mark)) itemsOf.set(mark, []);
  itemsOf.get(mark).push(item);
}

let shown = [];
let chosen = null;

// -- choosing ----------------------------------------------------------------------------------------------------

function shares(members, set) {
  return members.some((member) => set.has(member));
}

// For each mark how near it is to the chosen one: 3 shares an op, 2 a line, 1 a kernel, 0 nothing.
function relations(mark) {
  const [ops, lines, kernels] = marks.of[mark].map((members) => new Set(members));
  return marks.of.map(([o, l, k]) => {
    const near = shares(o, ops) ? 3 : shares(l, lines) ? 2 : shares(k, kernels) ? 1 : 0;
    return { near, rank: near + (near > 1 && shares(k, kernels) ? 0.5 : 0) };
  });
}

function clear() {
  for (const item of shown) {
    item.classList.remove("picked", ...RELATIONS.slice(1));
    item.removeAttribute("aria-selected");
  }
  shown = [];
  chosen = null;
}

function choose(item) {
  clear();
  const mark = Number(item.dataset.g);
  const best = new Map();
  relations(mark).forEach(({ near, rank }, other) => {
    if (!near) return;
    for (const found of itemsOf.get(other) ?? []) {
      found.classList.add(RELATIONS[near]);
      if (found.getAttribute("role") === "option") found.setAttribute("aria-selected", "true");
      shown.push(found);
      const pane = found.closest(PANES);
      const known = best.get(pane);
      if (!known || rank > known.rank || (rank === known.rank && isBefore(found, known.found))) {
        best.set(pane, { rank, found });
      }
    }
  });
  item.classList.add("picked");
  if (!shown.includes(item)) shown.push(item);
  chosen = { item, best };
  for (const pane of best.keys()) reveal(pane);
  tell(mark);
}

function isBefore(a, b) {
  return Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
}

// Scrolls a pane to its best match; the pane in which the user chose stays where it is.
function reveal(pane) {
  if (!chosen || pane.hidden || pane.contains(chosen.item)) return;
  const match = chosen.best.get(pane);
  if (!match) return;
  const outer = pane.getBoundingClientRect();
  const inner = match.found.getBoundingClientRect();
  pane.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
  if (pane.matches(".panel")) pane.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
}

function tell(mark) {
  const [, lines, kernels] = marks.of[mark];
  const named = (words, name, ids, names) => {
    if (!ids.length) return;
    const more = ids.length > TOLD ? ` and ${ids.length - TOLD} more` : "";
    words.push(`${name}${ids.length > 1 ? "s" : ""} ${ids.slice(0, TOLD).map((id) => names[id]).join(", ")}${more}`);
  };
  const words = [];
  named(words, "source line", lines, marks.lines);
  named(words, "kernel", kernels, marks.kernels);
  document.getElementById("status").textContent = words.join("; ") || "no source line";
}

// -- mouse and keyboard ------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const item = event.target.closest(ITEM);
  if (!item || String(getSelection())) return; // marking text to copy chooses nothing
  focus(item);
  choose(item);
});

// One item of each pane can be reached by Tab; arrows lead from it to the others.
function focus(item) {
  const pane = item.closest(PANES);
  for (const other of pane.querySelectorAll('[tabindex="0"]')) {
    if (other.matches(ITEM)) other.setAttribute("tabindex", "-1");
  }
  item.setAttribute("tabindex", "0");
  item.focus({ preventScroll: true });
}

const MOVES = {
  ArrowDown: (at) => at + 1,
  ArrowRight: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  ArrowLeft: (at) => at - 1,
  PageDown: (at) => at + 20,
  PageUp: (at) => at - 20,
  Home: () => 0,
  End: (at, count) => count - 1,
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    clear();
    return;
  }
  const item = event.target.closest(ITEM);
  if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(item);
  } else if (Object.hasOwn(MOVES, event.key)) {
    const pane = item.closest(PANES);
    if (pane.matches(".code") && /Left|Right/.test(event.key)) return; // scrolls long lines
    event.preventDefault();
    const items = [...pane.querySelectorAll(ITEM)];
    const to = MOVES[event.key](items.indexOf(item), items.length);
    const next = items[Math.min(Math.max(to, 0), items.length - 1)];
    focus(next);
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
});

for (const pane of document.querySelectorAll(PANES)) {
  pane.querySelector(ITEM)?.setAttribute("tabindex", "0");
}

// -- what is shown -----------------------------------------------------------------------------------------------

for (const box of document.querySelectorAll(".toggles input")) {
  box.addEventListener("change", () => {
    document.getElementById(box.value).hidden = !box.checked;
  });
}

const tabs = [...document.querySelectorAll('[role="tab"]')];

function open(tab) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.setAttribute("tabindex", selected ? "0" : "-1");
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    panel.hidden = !selected;
    if (selected) reveal(panel);
  }
}

tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    open(next);
    next.focus();
  });
});
open(tabs[0]);

for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    const panel = document.querySelector(".panel:not([hidden])");
    for (const svg of panel.querySelectorAll("svg")) {
      const { width, height } = svg.viewBox.baseVal;
      const fit = Math.min(1, (panel.clientWidth - 20) / width, (panel.clientHeight - 20) / height);
      const factor = button.dataset.zoom === "fit" ? fit / (svg.width.baseVal.value / width) : Number(button.dataset.zoom);
      const scale = Math.min(4, Math.max(0.02, (svg.width.baseVal.value / width) * factor));
      svg.setAttribute("width", String(width * scale));
      svg.setAttribute("height", String(height * scale));
    }
  });
}
