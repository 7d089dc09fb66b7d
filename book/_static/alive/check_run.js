/** "Check my run": what five printed metrics, or a table of them, say about how they were computed. */

import { audit, intervalOf, meet, METRICS } from "./audit.js";
import { begin, button, element } from "./page.js";

const NAMES = {
  precision: "precision prec p pr pre ppv positivepredictivevalue",
  recall: "recall rec r re sensitivity sens se tpr truepositiverate",
  accuracy: "accuracy acc ac oa overallaccuracy pixelaccuracy globalaccuracy",
  f1: "f1 f f1score fscore f1measure fmeasure dice dicescore dsc dicecoefficient",
  iou: "iou jaccard jaccardindex jaccardscore ji crackiou ioucrack iouscore",
};
const TITLES = { precision: "precision", recall: "recall", accuracy: "accuracy", f1: "F1", iou: "IoU" };
const CHAPTERS = {
  "03_data": "data",
  "14_detection": "detection",
  "15_scoring": "scoring",
  "20_audit": "the audit",
  "21_why_33": "why 33 and not 45",
};
const EXAMPLE = `run,precision,recall,accuracy,F1,IoU
A,62.0,81.0,98.32,70.2,54.1
B,71.0,55.0,97.21,62.0,44.9
C,48.0,39.0,95.93,43.0,27.4
`;
const MISSING = new Set(["", "-", "–", "—", "na", "n/a", "nan", "none", "null", "/"]);
const SAYS = {
  constant: ["All rows agree on one prevalence: counted over the whole set, columns as named."],
  either: ["One prevalence fits all rows, and would with precision and recall swapped, too: too few digits or rows."],
  unknown: ["The numbers do not fix one prevalence for several rows, so swapping and mixing cannot be seen."],
  swapped: ["Precision and recall are swapped: only so do the rows agree on one prevalence.", "20_audit"],
  averaged: ["The metrics look averaged over images, runs or classes instead of pooled.", "15_scoring"],
  mixed: ["The rows come from different test sets or labels: they have several prevalences.", "03_data"],
  none: ["No common prevalence, as named or swapped: other sets, or not counted over the whole set.", "15_scoring"],
};

const root = document.getElementById("check");
const inputs = {};
const number = (id) => element("input", { type: "number", min: 0, max: 100, step: "any", id, input: check });
const share = number("check-share");
const table = element("textarea", { rows: 6, id: "check-table", spellcheck: "false", input: check });
const said = element("div", { role: "status" });

/** Rows (metric to text) and their labels from a table with a header; comma, semicolon and tab separate. */
function parsed(text) {
  const lines = text.trim().split(/\r?\n/).filter((line) => line.trim());
  const separator = [",", ";", "\t"].sort((a, b) => lines[0].split(b).length - lines[0].split(a).length)[0];
  const cells = lines.map((line) => line.split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  const metrics = cells[0].map((name) => {
    const bare = name.normalize("NFKC").toLowerCase().replace(/percent(age)?|pct|[^a-z0-9]/g, "");
    return METRICS.find((metric) => NAMES[metric].split(" ").includes(bare));
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
  const kept = entries.filter(([metric, text]) => metric && !MISSING.has(text.toLowerCase()));
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
    const one = () => ({ rows: [rowOf(typed, "above")], labels: [""] });
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
  const lines = labels.length > 1 ? [SAYS[found.verdict]] : [];
  for (const { row, kind } of found.wrong) {
    const swapped = "precision and recall stand the other way round";
    const what = kind === "row swapped" ? swapped : "the numbers contradict each other";
    lines.push([`${labels[row] || "This row"}: ${what}.`, "20_audit"]);
  }
  found.checks.forEach((one, i) => lines.push(...remarks(one, labels[i], found)));
  if (!lines.length) lines.push(["Nothing speaks against these numbers."]);
  const items = lines.map(([text, chapter]) => element("li", {}, text, ...link(chapter)));
  said.replaceChildren(element("ul", {}, ...items));
}

function link(chapter) {
  if (!chapter) return [];
  return [" Read on: ", element("a", { href: `../notebooks/${chapter}.html` }, CHAPTERS[chapter]), "."];
}

/** What one row says beyond the audit: its prevalence, how much it marks, whether it is upside down. */
function remarks({ known, prevalence, possible }, label, { swapped }) {
  const lines = [];
  const name = label ? `${label}: ` : "";
  if (!possible) return lines;
  const [own, other] = swapped ? [...prevalence].reverse() : prevalence;
  if (own) lines.push([`${name}the digits imply a prevalence of ${percent(own)}.`]);
  const given = share.value.trim();
  if (given && own) {
    const truth = intervalOf(given, 0.01);
    if (meet(own, truth)) lines.push([`${name}this is the prevalence that you gave.`]);
    else if (other && meet(other, truth)) {
      lines.push([`${name}with precision and recall swapped it would be yours.`, "20_audit"]);
    } else lines.push([`${name}this is not yours: other or resized masks, or a mean over images.`, "15_scoring"]);
  }
  const [precision, recall] = swapped ? [known.recall, known.precision] : [known.precision, known.recall];
  if (precision && recall && precision[0] > 0) {
    const times = (recall[0] + recall[1]) / (precision[0] + precision[1]);
    const words = `${name}${times.toFixed(1)} times as many pixels are marked as are crack: the threshold is too`;
    if (times > 1.5) lines.push([`${words} low, or the filter too wide.`, "14_detection"]);
    if (times < 1 / 1.5) lines.push([`${words} high.`, "14_detection"]);
  }
  if (known.accuracy && known.accuracy[1] < 0.5) {
    lines.push([`${name}more pixels are wrong than right: masks or photos may be contrast-inverted.`, "21_why_33"]);
  }
  return lines;
}

function control(label, input) {
  return element("div", { class: "alive-control" }, element("label", { for: input.id }, label), input);
}

begin(root, async () => {
  const boxes = METRICS.map((metric) => {
    inputs[metric] = number(`check-${metric}`);
    return control(TITLES[metric], inputs[metric]);
  });
  boxes.push(control("prevalence, % (optional)", share));
  const example = () => {
    table.value = EXAMPLE;
    check();
  };
  root.replaceChildren(
    element("div", { class: "alive-controls" }, ...boxes),
    element("label", { for: "check-table" }, "Or paste a table with a header, one run a line, in place of the above:"),
    table,
    element("div", { class: "alive-buttons" }, button("An example", example)),
    said,
  );
  check();
});
