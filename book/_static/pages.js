// Tables of results: a heading sorts its column. And what the theme leaves out for readers without a mouse: a box that
// scrolls can be reached by keyboard.

const number = (text) => parseFloat(text.replace("−", "-"));

function sortBy(head) {
  const body = head.closest("table").tBodies[0];
  const order = head.getAttribute("aria-sort");
  const up = order ? order === "descending" : head.matches(".gt_left");
  const value = (row) => row.cells[head.cellIndex].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "–" || y === "–") return (x === "–") - (y === "–"); // what is missing comes last, both ways
    const apart = number(x) - number(y);
    return (up ? 1 : -1) * (isNaN(apart) ? x.localeCompare(y, undefined, { numeric: true }) : apart);
  };
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...[...body.rows].sort(compare));
}

function makeSortable(head) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sortBy(head));
  head.append(button);
}

const WIDE = "pre, .cell_output, .output, .math, mjx-container, .pst-scrollable-table-container, .table-responsive";

function reachable() {
  for (const box of document.querySelectorAll(`article :is(${WIDE})`)) {
    if (box.scrollWidth > box.clientWidth && !box.closest("[tabindex]")) box.tabIndex = 0;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".sortable thead th").forEach((head) => head.textContent.trim() && makeSortable(head));
});
window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(reachable));
window.addEventListener("resize", reachable);
