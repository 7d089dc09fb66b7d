/**
 * What the digits of precision, recall, accuracy, F1 and IoU say about how they were computed: the rules of
 * `upcrack audit`. An interval [low, high] holds what rounds to printed digits, as a fraction of 1.
 */

export const METRICS = ["precision", "recall", "accuracy", "f1", "iou"];
const SLACK = 0.5; // units of the last digit that rounding may have moved a value
const DRIFT = 0.0005; // relative difference between the prevalences of one test set
const MOST = 0.6; // part of the rows that a statement on all of them must cover
const FINEST = 1e-7;

const over = (above, below) => (below > 0 ? above / below : Infinity);
const widened = ([low, high]) => [low * (1 - DRIFT), Math.min(1, high * (1 + DRIFT))];

/** What two intervals share, or null. */
export function meet(a, b) {
  const [low, high] = [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
  return low <= high + 1e-12 ? [low, Math.max(low, high)] : null;
}

/** What rounds to a printed number; factor: 0.01 for percent. */
export function intervalOf(text, factor) {
  const [mantissa, exponent] = text.toLowerCase().split("e");
  const decimals = (mantissa.split(".")[1] ?? "").length - Number(exponent ?? 0);
  const half = Math.max(SLACK * 10 ** -decimals * factor, FINEST) * (1 + 1e-6);
  const value = Number(text) * factor;
  return [Math.max(0, value - half), Math.min(1, value + half)];
}

const f1Of = (precision, recall) =>
  [0, 1].map((i) => (precision[i] + recall[i] > 0 ? (2 * precision[i] * recall[i]) / (precision[i] + recall[i]) : 0));
const iouOf = (f1) => f1.map((value) => value / (2 - value));
const f1OfIou = (iou) => iou.map((value) => (2 * value) / (1 + value));

/** (FP + FN) / crack pixels. */
function errorsPerCrack(precision, recall) {
  const values = precision.flatMap((p) => recall.map((r) => (p > 0 ? r / p : Infinity) + 1 - 2 * r));
  return [Math.max(0, Math.min(...values)), Math.max(...values)];
}

/** The prevalence that precision, recall and accuracy allow. */
function prevalenceOf(precision, recall, accuracy) {
  const wrong = errorsPerCrack(precision, recall);
  return [over(1 - accuracy[1], wrong[1]), over(1 - accuracy[0], wrong[0])].map((value) => Math.min(1, value));
}

/** The accuracy that precision, recall and prevalence allow. */
function accuracyOf(precision, recall, [low, high]) {
  const wrong = errorsPerCrack(precision, recall);
  return [Math.max(0, 1 - (high ? high * wrong[1] : 0)), 1 - Math.max(0, low * wrong[0])];
}

/** Fraction of all pixels that are true positives. */
function truePositivesOf({ f1, accuracy }) {
  const low = over((1 - accuracy[1]) * f1[0], 2 * (1 - f1[0]));
  return [Math.min(1, low), Math.min(1, over((1 - accuracy[0]) * f1[1], 2 * (1 - f1[1])))];
}

/** Precision from F1 and recall, or the other way round. */
function partnerOf([fLow, fHigh], [low, high]) {
  const bottom = 2 * high > fLow ? over(fLow * high, 2 * high - fLow) : 1;
  const top = 2 * low > fHigh ? over(fHigh * low, 2 * low - fHigh) : 1;
  return [Math.min(bottom, 1), Math.max(0, top)];
}

/** Each identity solved for each of its values: pairs of a name and a function of the box. */
const IDENTITIES = [
  ["f1", (box) => f1Of(box.precision, box.recall)],
  ["f1", (box) => f1OfIou(box.iou)],
  ["iou", (box) => iouOf(box.f1)],
  ["precision", (box) => partnerOf(box.f1, box.recall)],
  ["recall", (box) => partnerOf(box.f1, box.precision)],
  ["prevalence", (box) => prevalenceOf(box.precision, box.recall, box.accuracy)],
  ["prevalence", (box) => (box.recall[0] > 0 ? [0, box.accuracy[1] / box.recall[0]] : [0, 1])],
  ["accuracy", (box) => accuracyOf(box.precision, box.recall, box.prevalence)],
  ["prevalence", (box) => [truePositivesOf(box)[0], Math.min(1, truePositivesOf(box)[1] + 1 - box.accuracy[0])]],
  ["recall", (box) => truePositivesOf(box).map((share, i) => over(share, box.prevalence[1 - i]))],
];

/** Reduce the intervals of a row to what the identities allow; null where they contradict each other. */
export function narrow(known) {
  const box = {};
  for (const name of [...METRICS, "prevalence"]) box[name] = known[name] ?? [0, 1];
  for (let round = 0; round < 30; round++) {
    const before = { ...box };
    for (const [name, allowed] of IDENTITIES) {
      const shared = meet(box[name], allowed(box));
      if (!shared) return null;
      box[name] = shared;
    }
    if (Object.keys(box).every((n) => box[n][1] - box[n][0] > 0.99 * (before[n][1] - before[n][0]))) break;
  }
  return box;
}

const swap = ({ precision, recall, ...rest }) => ({ ...rest, precision: recall, recall: precision });

function implied(known) {
  if (!known.accuracy || Object.values(known).filter(Boolean).length === 1) return null;
  if (known.precision && known.recall) return prevalenceOf(known.precision, known.recall, known.accuracy);
  return narrow(known)?.prevalence ?? null;
}

/** 0 where a printed value fits what is expected, -1 where it is too low, 1 too high, null where nothing is known. */
function sign(printed, expected) {
  if (!printed || !expected) return null;
  return meet(printed, expected) ? 0 : printed[1] < expected[0] ? -1 : 1;
}

/** One row, intervals by metric, against the identities. */
function checkRow(known) {
  const expected = known.precision && known.recall ? f1Of(known.precision, known.recall) : null;
  const base = known.f1 ?? expected;
  const f1 = sign(known.f1, expected);
  const iou = sign(known.iou, base && iouOf(base));
  return {
    known,
    possible: narrow(known) !== null,
    prevalence: [implied(known), implied(swap(known))], // as printed, swapped
    // Accuracy, and two of the others, for F1 and IoU are one.
    tight: Boolean(
      known.accuracy && [known.precision, known.recall, known.f1 || known.iou].filter(Boolean).length > 1,
    ),
    averagedLike: (f1 === -1 || iou === 1) && f1 !== 1 && iou !== -1,
  };
}

/** Rows by a prevalence in common: the one that most rows share, then again with the rest; largest first. */
function clusters(checks, way) {
  const only = checks.some((check) => check.tight);
  let left = checks.flatMap((check, i) =>
    (check.tight || !only) && check.prevalence[way] ? [[i, widened(check.prevalence[way])]] : [],
  );
  const found = [];
  while (left.length) {
    const holding = (point) => left.filter(([, [low, high]]) => low <= point && point <= high);
    const points = left.map(([, [low]]) => [holding(low).length, low]);
    const [, start] = points.sort((a, b) => b[0] - a[0] || a[1] - b[1])[0];
    const inside = holding(start);
    const end = Math.min(...inside.map(([, [, high]]) => high));
    found.push({ prevalence: [start, end], rows: inside.map(([i]) => i) });
    left = left.filter((entry) => !inside.includes(entry));
  }
  return found.sort((a, b) => b.rows.length - a.rows.length);
}

const covered = (groups) => groups.reduce((sum, group) => sum + group.rows.length, 0);

function commonSets(groups) {
  const rows = covered(groups);
  const least = rows === 1 ? 1 : rows < 10 ? 2 : 3;
  const sets = groups.filter((group) => group.rows.length >= least);
  return covered(sets) >= MOST * rows ? sets : [];
}

function isSwapped(printed, swapped) {
  if (covered(printed) === 2) return swapped.length < printed.length;
  const more = covered(commonSets(swapped)) > covered(commonSets(printed));
  return swapped.length <= printed.length - 2 && more;
}

function isAveraged(checks, sets) {
  const broken = checks.filter((check) => !check.possible);
  const alike = broken.filter((check) => check.averagedLike).length;
  if (alike < Math.max(2, 0.3 * checks.length) || alike < 0.9 * broken.length) return false;
  return alike > 0.5 * checks.length || covered(sets) < 0.8 * checks.length;
}

function verdictOf(checks, printed, swappedWay, sets, swapped, averaged) {
  if (averaged) return "averaged";
  if (!covered(printed)) return "unknown";
  if (swapped) return "swapped";
  if (!sets.length) return "none";
  if (sets.length > 1) return "mixed";
  if (covered(printed) === 1 || !checks.some((check) => check.tight)) return "unknown";
  return swappedWay.length === 1 ? "either" : "constant";
}

/**
 * Audit the rows of one test set; rows: metric to printed text. Returns verdict, prevalences and the rows that do not
 * fit, each with its kind: "row swapped" or "contradiction". Unit: percent, or fractions where most numbers are ≤ 1.
 */
export function audit(rows) {
  const texts = rows.flatMap((row) => Object.values(row));
  const accuracies = rows.flatMap((row) => row.accuracy ?? []);
  const votes = accuracies.length ? accuracies : texts;
  const factor = 2 * votes.filter((text) => Number(text) <= 1).length > votes.length ? 1 : 0.01;
  const read = ([name, text]) => [name, intervalOf(text, factor)];
  const checks = rows.map((row) => checkRow(Object.fromEntries(Object.entries(row).map(read))));
  const [printed, swappedWay] = [clusters(checks, 0), clusters(checks, 1)];
  let swapped = isSwapped(printed, swappedWay);
  let sets = commonSets(swapped ? swappedWay : printed);
  const averaged = isAveraged(checks, sets);
  if (averaged) [sets, swapped] = [[], false];
  const verdict = verdictOf(checks, printed, swappedWay, sets, swapped, averaged);
  const prevalences = sets.map((one) => widened(one.prevalence));
  const members = new Set(sets.flatMap((one) => one.rows));
  const wrong = [];
  checks.forEach((check, i) => {
    const own = check.prevalence[swapped ? 1 : 0];
    const allows = members.has(i) || (!check.tight && own && prevalences.some((one) => meet(own, one)));
    const off = Boolean(sets.length && own && !allows);
    if (!off && (check.possible || (averaged && check.averagedLike))) return;
    const other = swapped ? check.known : swap(check.known);
    const fits = prevalences.some((prevalence) => narrow({ ...other, prevalence }));
    wrong.push({ row: i, kind: fits ? "row swapped" : "contradiction" });
  });
  const middles = sets.map(({ prevalence: [low, high] }) => 50 * (low + high)); // percent
  return { verdict, prevalences: middles, swapped, checks, wrong };
}
