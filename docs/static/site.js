// Quizzes answer, long tables sort, and the keyboard reaches what scrolls or is hidden on a telephone.
"use strict";

for (const input of document.querySelectorAll(".quiz input")) {
  input.addEventListener("change", () => {
    const answer = input.closest("fieldset").querySelector("[role=status]");
    const right = input.dataset.right === "true";
    answer.className = right ? "right" : "wrong";
    answer.textContent = (right ? "✓ " : "✗ ") + input.dataset.feedback;
  });
}

function number(text) {
  return parseFloat(text.replace(/,/g, "").replace("−", "-"));
}

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === ""); // what was not measured comes last
  const difference = number(a) - number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

function sort(heading, column) {
  const body = heading.closest("table").tBodies[0];
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const text = (row) => row.cells[column].textContent.trim();
  const measured = (row) => text(row) !== "";
  const rows = [...body.rows].sort((a, b) => {
    const order = compare(text(a), text(b));
    return descending && measured(a) && measured(b) ? -order : order;
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.docutils")) {
  if (!table.tHead || table.tBodies[0].rows.length < 6 || table.closest(".cell")) continue;
  if (table.querySelector("tbody strong")) continue; // it has rows that head others
  const headings = [...table.tHead.rows[0].cells];
  if (headings.some((heading) => heading.textContent.trim() === "")) continue;
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading, column));
    heading.append(button);
  });
}

for (const cell of document.querySelectorAll(".table-wrapper td")) {
  const short = cell.textContent.trim().length < 24 && !cell.querySelector("strong");
  if (short) cell.classList.add("short");
}

function reachable() {
  for (const each of document.querySelectorAll(".table-wrapper, .cell_output, .cell_output pre, pre")) {
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);

// Names and levels that the theme and MyST-NB leave to be guessed.
for (const summary of document.querySelectorAll("summary[aria-label]")) {
  summary.removeAttribute("aria-label");
}
for (const caption of document.querySelectorAll("p.caption[role=heading]")) {
  caption.setAttribute("aria-level", "2");
}

// The theme opens its drawers by labels, which a keyboard does not reach.
for (const label of document.querySelectorAll("label.nav-overlay-icon, label.toc-overlay-icon")) {
  label.tabIndex = 0;
  label.setAttribute("role", "button");
  const name = label.htmlFor === "__toc" ? "Contents of this page" : "All pages";
  label.setAttribute("aria-label", name);
  label.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    label.click();
  });
}
