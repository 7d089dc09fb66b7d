/** "Check my run": what five printed metrics, or a table of them, say about how they were computed. */

import { audit, intervalOf, meet, METRICS } from "./audit.js";
import { json } from "./fetch.js";
import { begin, button, element, labeled } from "./page.js";

const TITLES = { precision: "precision", recall: "recall", accuracy: "accuracy", f1: "F1", iou: "IoU" };

let known; // names of columns, and what stands for a missing number
let words;
const root = document.getElementById("check");
const inputs = {};
const number = () => element("input", { type: "number", min: 0, max: 100, step: "any", input: check });
const share = number();
const table = element("textarea", { rows: 6, spellcheck: "false", input: check });
const said = element("div", { role: "status" });

/** Rows (metric to text) and their labels from a table with a header; comma, semicolon and tab separate. */
function parsed(text) {
  const lines = text.trim().split(/\r?\n/).filter((line) => line.trim());
  const separator = [",", ";", "\t"].sort((a, b) => lines[0].split(b).length - lines[0].split(a).length)[0];
  const cells = lines.map((line) => line.split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  const metrics = cells[0].map((name) => {
    const bare = name.normalize("NFKC").toLowerCase().replace(/percent(age)?|pct|[^a-z0-9]/g, "");
    return METRICS.find((metric) => known.aliases[metric].includes(bare));
  });
  const found = metrics.filter(Boolean);
  if (!found.length) throw new Error("the first line names no column such as precision, recall or F1");
  if (new Set(found).size < found.length) throw new Error("two columns look like the same metric");
  const labels = [];
  const rows = cells.slice(1).map((line, number) => {
    labels.push(line[metrics.indexOf(undefined)] || `row ${number + 1}`);
    if (line.length !== metrics.length) throw new Error(`line ${number + 2}: not as many cells as in the header`);
    return rowOf(metrics.map((metric, i) => [metric, line[i]]), `line ${number + 2}`);
  });
  return { rows, labels };
}

function rowOf(entries, where) {
  const kept = entries.filter(([metric, text]) => metric && !known.missing.includes(text.toLowerCase()));
  for (const [metric, text] of kept) {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?$/i.test(text) ? Number(text) : NaN;
    const place = `${where}, ${TITLES[metric]}`;
    if (!(number >= 0 && number <= 100)) throw new Error(`${place}: “${text}” is no number from 0 to 100`);
  }
  return Object.fromEntries(kept);
}

function check() {
  try {
    const typed = Object.entries(inputs).map(([metric, input]) => [metric, input.value.trim()]);
    const one = () => ({ rows: [rowOf(typed, "above")], labels: ["This run"] });
    const { rows, labels } = table.value.trim() ? parsed(table.value) : one();
    if (!rows.some((row) => Object.keys(row).length)) return said.replaceChildren("Nothing to check yet.");
    show(audit(rows), labels);
  } catch (error) {
    root.found = null;
    said.replaceChildren(`Not checked: ${error.message}.`);
  }
}

const percent = ([low, high]) => `${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)} %`;

function show(found, labels) {
  root.found = found; // for whoever wants to look from outside
  const lines = labels.length > 1 ? [words.verdicts[found.verdict]] : [];
  for (const { row, kind } of found.wrong) {
    const swapped = "precision and recall stand the other way round";
    const what = kind === "row swapped" ? swapped : "the numbers contradict each other";
    lines.push([`${labels[row]}: ${what}.`, "20_audit"]);
  }
  found.checks.forEach((one, i) => lines.push(...remarks(one, labels[i], found)));
  if (!lines.length) lines.push(["Nothing speaks against these numbers."]);
  const link = (name) => element("a", { href: `../notebooks/${name}.html` }, `chapter ${Number(name.slice(0, 2))}`);
  const item = ([text, chapter]) => element("li", {}, text, ...(chapter ? [" Read on: ", link(chapter), "."] : []));
  said.replaceChildren(element("ul", {}, ...lines.map(item)));
}

/** What one row says beyond the audit: its prevalence, how much it marks, whether it is upside down. */
function remarks({ known, prevalence, possible }, label, { swapped }) {
  const lines = [];
  const say = (text, chapter) => lines.push([`${label}: ${text}`, chapter]);
  if (!possible) return lines;
  const [own, other] = swapped ? [...prevalence].reverse() : prevalence;
  if (own) {
    const digits = `the digits imply a prevalence of ${percent(own)}`;
    const given = share.value.trim() ? intervalOf(share.value.trim(), 0.01) : null;
    if (!given) say(`${digits}.`);
    else if (meet(own, given)) say(`${digits}; this is the prevalence that you gave.`);
    else if (other && meet(other, given)) say(`${digits}; with the columns swapped it would be yours.`, "20_audit");
    else say(`${digits}; this is not yours: other or resized masks, or a mean over images.`, "15_scoring");
  }
  const [precision, recall] = swapped ? [known.recall, known.precision] : [known.precision, known.recall];
  if (precision && recall && precision[0] > 0) {
    const times = (recall[0] + recall[1]) / (precision[0] + precision[1]);
    const start = `${times.toFixed(1)} times as many pixels are marked as are crack: the threshold is too`;
    if (times > 1.5) say(`${start} low, or the filter too wide.`, "14_detection");
    if (times < 1 / 1.5) say(`${start} high.`, "14_detection");
  }
  if (known.accuracy && known.accuracy[1] < 0.5) {
    say("more pixels are wrong than right: masks or photos may be contrast-inverted.", "21_why_33");
  }
  return lines;
}

begin(root, async () => {
  [known, words] = await Promise.all([json("check.json"), json("check_words.json")]);
  const boxes = METRICS.map((metric) => {
    inputs[metric] = number();
    return labeled(TITLES[metric], inputs[metric]).root;
  });
  boxes.push(labeled("your prevalence, %", share).root);
  const example = () => ((table.value = words.example), check());
  root.replaceChildren(
    element("div", { class: "alive-controls" }, ...boxes),
    labeled("Or paste a table with a header, one run a line, in place of the above:", table).root,
    element("div", { class: "alive-buttons" }, button("An example", example)),
    said,
  );
  check();
});
