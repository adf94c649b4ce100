"use strict";

// Rows bear data-k: their place in each filter's values, "-" where they belong to all of them.
// A comparison bears data-of: the row and the metric of the number that it explains.

const results = document.getElementById("results");
const comparisons = document.getElementById("comparisons"); // null where nothing is compared
const note = document.getElementById("note");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const cellsOf = (row) => [...row.cells];
// A method's cell says the whole row's name where the screen is narrow; its last text is its own.
const textOf = (cell) => (cell.matches("tbody .who") ? cell.lastChild : cell).textContent;

// ---- Sorting ----

const collator = new Intl.Collator("en", { numeric: true });
const readingOrder = new Map([results, comparisons].filter(Boolean).map(
  (table) => [table, [...table.tBodies[0].rows]],
));

function sort(table, head, direction) {
  const column = head.cellIndex;
  const number = (text) => (head.classList.contains("num") ? parseFloat(text) : Number(text));
  const keyed = readingOrder.get(table).map((row) => {
    const text = textOf(row.cells[column]);
    return { row, text, number: text === "" ? NaN : number(text) };
  });
  const numeric = head.classList.contains("num") || keyed.every((one) => !isNaN(one.number));
  const sign = direction === "ascending" ? 1 : -1;
  keyed.sort((a, b) => {
    if (!numeric) return sign * collator.compare(a.text, b.text);
    if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number);
    return sign * (a.number - b.number) || 0; // holes stay last, equal rows in reading order
  });
  all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", direction);
  table.classList.add("sorted");
  table.tBodies[0].append(...keyed.map((one) => one.row));
}

function restore(table) {
  all("th[aria-sort]", table).forEach((head) => head.removeAttribute("aria-sort"));
  table.classList.remove("sorted");
  table.tBodies[0].append(...readingOrder.get(table));
}

for (const table of readingOrder.keys()) {
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th");
    if (!head) return;
    const first = "metric" in head.dataset ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    sort(table, head, head.getAttribute("aria-sort") === first ? second : first);
  });
}

// ---- Filters ----

const groups = all("#filters fieldset").map((set) => all("input", set));

function filter() {
  const chosen = groups.map((boxes) => boxes.filter((box) => box.checked).map((box) => box.value));
  const wanted = (place, value) => value === "-" || !chosen[place].length
    || chosen[place].includes(value);
  for (const one of all("[data-k]")) {
    one.hidden = !one.dataset.k.split(" ").every((value, place) => wanted(place, value));
  }
  for (const head of all("th[data-metric]", results)) {
    const hidden = !wanted(groups.length - 1, head.dataset.metric);
    for (const row of results.rows) row.cells[head.cellIndex].hidden = hidden;
  }
  const rows = readingOrder.get(results);
  let block = null; // a line above each block's first row that is shown
  for (const row of rows.filter((one) => !one.hidden)) {
    const own = row.dataset.k.split(" ").slice(0, -2).join(" ");
    row.classList.toggle("first", own !== block);
    block = own;
  }
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").value = `${shown} of ${rows.length} rows`;
  hide();
  rove();
}

document.getElementById("filters").addEventListener("change", filter);
document.getElementById("clear").addEventListener("click", () => {
  groups.flat().forEach((box) => { box.checked = false; });
  filter();
});
document.getElementById("reset").addEventListener("click", () => {
  [...readingOrder.keys()].forEach(restore);
  rove();
});

// ---- The numbers behind a number: on hover, tap and focus ----

const behind = new Map();
for (const row of comparisons ? readingOrder.get(comparisons) : []) {
  behind.set(row.dataset.of, [...(behind.get(row.dataset.of) ?? []), row]);
}
let shownCell = null;
let waiting = 0;

function put(parent, name, text) {
  const child = parent.appendChild(document.createElement(name));
  child.textContent = text;
  return child;
}

function show(cell) {
  clearTimeout(waiting);
  if (cell === shownCell) return;
  hide();
  const row = cell.parentNode;
  const head = results.tHead.rows[0].cells[cell.cellIndex];
  const who = row.querySelector(".who");
  const name = `${who.firstChild.textContent.trim()}, ${textOf(who)}, ${head.textContent}`;
  put(note, "strong", `${name}: ${cell.textContent}`);
  put(note, "p", row.dataset.about);
  for (const other of behind.get(`${row.dataset.of} ${head.dataset.metric}`) ?? []) {
    const heads = cellsOf(comparisons.tHead.rows[0]);
    const against = heads.findIndex((one) => one.textContent === "against");
    const [rival, verdict] = [0, 1].map((i) => other.cells[against + i].textContent);
    put(note, "h3", `against ${rival}: ${verdict}`);
    const list = put(note, "dl", "");
    for (let i = against + 2; i < heads.length; i += 1) {
      const pair = put(list, "div", "");
      put(pair, "dt", heads[i].textContent);
      put(pair, "dd", other.cells[i].textContent || "—");
    }
  }
  note.hidden = false;
  shownCell = cell;
  cell.setAttribute("aria-describedby", "note");
  place();
}

function place() {
  if (!shownCell) return;
  const cell = shownCell.getBoundingClientRect();
  const size = note.getBoundingClientRect();
  const left = Math.min(cell.right, innerWidth - 8) - size.width;
  const below = cell.bottom + 4 + size.height < innerHeight;
  const top = below ? cell.bottom + 4 : cell.top - 4 - size.height;
  note.style.setProperty("--left", `${Math.max(8, left)}px`);
  note.style.setProperty("--top", `${Math.max(8, top)}px`);
}

function hide() {
  clearTimeout(waiting);
  note.hidden = true;
  note.replaceChildren();
  shownCell?.removeAttribute("aria-describedby");
  shownCell = null;
}

const numberAt = (target) => target.closest?.("#results tbody td.num");
document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "mouse") return;
  const cell = numberAt(event.target);
  if (cell) show(cell);
  else if (event.target.closest?.("#note")) clearTimeout(waiting);
  else if (shownCell && shownCell !== document.activeElement) waiting = setTimeout(hide, 150);
});
document.addEventListener("focusin", (event) => {
  const cell = numberAt(event.target);
  if (cell) { rove(cell); show(cell); } else if (!event.target.closest("#note")) hide();
});
document.addEventListener("click", (event) => {
  const cell = numberAt(event.target);
  if (cell) { cell.focus(); show(cell); }
});
// Not on click: what opens under a finger would be clicked with it.
document.addEventListener("pointerdown", (event) => {
  if (!numberAt(event.target) && !event.target.closest("#note")) hide();
});
document.addEventListener("scroll", place, { capture: true, passive: true });

// ---- One tab stop for the table; arrows move between its numbers ----

const isShown = (element) => !element.hidden;
const numbers = (row) => cellsOf(row).filter((cell) => cell.matches(".num") && isShown(cell));

function rove(cell) {
  const rows = [...results.tBodies[0].rows].filter(isShown);
  const stop = cell ?? (rows.length ? numbers(rows[0])[0] : null);
  all("td.num[tabindex='0']", results).forEach((other) => { other.tabIndex = -1; });
  if (stop) stop.tabIndex = 0;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
  const cell = numberAt(event.target);
  if (!cell) return;
  const rows = [...results.tBodies[0].rows].filter(isShown);
  const row = rows.indexOf(cell.parentNode);
  const column = numbers(cell.parentNode).indexOf(cell);
  const [down, right] = {
    ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1],
  }[event.key] ?? [0, 0];
  const next = rows[row + down] && numbers(rows[row + down])[column + right];
  if (next && next !== cell) { event.preventDefault(); next.focus(); }
});

all("td.num", results).forEach((cell) => { cell.tabIndex = -1; });
document.getElementById("filters").open = matchMedia("(min-width: 45em)").matches;
document.getElementById("controls").hidden = false;
filter();
