/** The tuner: filter and threshold of chapter 14 as sliders, on recorded maps. */

import { asker, begin, button, choice, colored, element } from "./page.js";
import { grays, hot, painted, panel, save, slider } from "./page.js";
import { drawCurve, drawHistogram, onPress } from "./charts.js";
import { beside, json, loadArrays } from "./fetch.js";
import { metrics, otsu, sweep } from "./pixels.js";

const DETECTORS = { upcracknet: "UP-CrackNet", drawn: "drawn-crack detector" };
const RULES = { otsu: "Otsu", otsu_factor: "Otsu × factor", fixed: "fixed", percentile: "percentile" };
const OFF = 0.01; // gray levels: so narrow a color weight leaves every pixel as it is
const SIGNS = ["●", "▲", "■", "◆", "✚"];
const SIDE = 256;

const root = document.getElementById("tuner");
const worker = new Worker(beside("tuner_worker.js"), { type: "module" });
const ask = asker(root, worker, wish, answered);
let index; // roads.json
let arrays; // of the road
let fresh = true; // the worker lacks the map
let line = []; // metrics at each level of the smoothed map

const controls = {
  road: choice("road", [], restart),
  detector: choice("detector", Object.entries(DETECTORS), () => (preset(), restart())),
  variant: choice("error map", [], restart),
  filter: choice("filter", [["bilateral", "bilateral"], ["none", "off"]], update),
  d: slider("d", { min: 1, max: 35, step: 1, value: 25, unit: " px" }, update),
  sigmaColor: slider("σ color", { min: 1, max: 300, step: 1, value: 150, unit: " levels" }, update),
  sigmaSpace: slider("σ space", { min: 0.5, max: 50, step: 0.5, value: 15, unit: " px" }, update),
  rule: choice("threshold", Object.entries(RULES), update),
  otsu_factor: slider("factor", { min: 0, max: 3, step: 0.05, value: 1 }, update),
  fixed: slider("level", { min: 0, max: 1, step: 0.002, value: 0.1 }, update),
  percentile: slider("percentile", { min: 50, max: 100, step: 0.25, value: 95, unit: " %" }, update),
  floor: slider("never below", { min: 0, max: 0.5, step: 0.005, value: 0 }, update),
  area: slider("least area", { min: 0, max: 1, step: 0.02, value: 0, unit: " %" }, update),
};
const panels = Object.fromEntries(
  ["photo", "restored", "error map", "smoothed", "mask", "against the label"].map((name) => [name, panel(name)]),
);
const [chart, curve] = [0, 1].map(() => element("div", { class: "alive-chart" }));
const scores = element("table", { class: "alive-scores" });
const lines = element("pre");

const restores = () => controls.detector.value === "upcracknet";

/** The value of the chosen rule, from the control of its name; a rule without one has 1, as in the presets. */
const ruleValue = () => controls[controls.rule.value]?.value ?? 1;

/** What is chosen, as lines of a settings file. */
function yaml() {
  const chosen = Object.entries(index.settings).map(([name, setting]) => [setting, controls[name].value]);
  const values = { ...Object.fromEntries(chosen), threshold_value: ruleValue() };
  if (restores() && values.map_filter === "none") values.bilateral_sigma_color = OFF;
  delete values[restores() ? "map_filter" : "error_variant"];
  return Object.entries(values).map(([name, value]) => `${name}: ${value}\n`).join("");
}

/** Give the controls the values that a detector is shipped with. */
function preset() {
  const start = { error_variant: "absolute", map_filter: "bilateral", ...index.start[controls.detector.value] };
  for (const [name, setting] of Object.entries(index.settings)) controls[name].value = start[setting];
  const ruled = controls[start.threshold_rule];
  if (ruled) ruled.value = start.threshold_value;
  controls.area.value = 0;
}

/** Another road or map: fetch it, and show what does not depend on the sliders. */
async function restart() {
  const number = Number(controls.road.value);
  if (arrays?.number !== number) {
    root.dataset.settled = false;
    const loaded = await loadArrays(`road-${number}.bin`, index.arrays);
    if (number !== Number(controls.road.value)) return; // another was chosen meanwhile
    arrays = { number, ...loaded };
  }
  fresh = true;
  const [side] = index.arrays.restored;
  panels.photo.draw(colored(arrays.photo), SIDE, SIDE, "photo", index.roads[number]);
  panels.restored.draw(colored(arrays.restored), side, side, "restored", "restored by UP-CrackNet");
  panels.restored.root.hidden = controls.variant.root.hidden = !restores();
  arrays.map = arrays[restores() ? controls.variant.value : "drawn"];
  arrays.top = Math.max(1, arrays.map.reduce((a, b) => Math.max(a, b), 0));
  drawMap("error map", restores() ? "error map" : "crack probability", arrays.map);
  update();
}

function drawMap(name, title, map) {
  panels[name].draw(hot(map, arrays.top, index.heat), SIDE, SIDE, `${title}, 0 to ${(arrays.top / 255).toFixed(2)}`);
}

function update() {
  for (const rule in RULES) if (controls[rule]) controls[rule].root.hidden = rule !== controls.rule.value;
  const off = controls.filter.value === "none";
  for (const name of ["d", "sigmaColor", "sigmaSpace"]) controls[name].input.disabled = off;
  if (arrays?.map) ask();
}

function wish() {
  const road = fresh ? { map: arrays.map, truth: arrays.truth, height: SIDE, width: SIDE } : null;
  fresh = false;
  return { settings: { ...link(), value: ruleValue() }, road };
}

/** Show what the worker found; once nothing more is asked, the address says how to come here. */
function answered({ smoothed, threshold, mask, levels, counts }, settled) {
  if (settled) history.replaceState(null, "", `#${new URLSearchParams(link())}`);
  lines.textContent = yaml();
  drawMap("smoothed", "smoothed", smoothed);
  const share = (100 * (counts.tp + counts.fp)) / mask.length;
  panels.mask.draw(grays(mask.map((crack) => 255 * crack)), SIDE, SIDE, `mask, ${share.toFixed(1)} % crack`);
  const { photo, truth } = arrays;
  const against = painted(mask.length, (i) => {
    if (mask[i] || truth[i]) return index.colors[mask[i] ? (truth[i] ? "tp" : "fp") : "fn"];
    const gray = 0.299 * photo[3 * i] + 0.587 * photo[3 * i + 1] + 0.114 * photo[3 * i + 2];
    return [gray, gray, gray];
  });
  const sums = `${counts.tp} pixels found, ${counts.fp} false alarms, ${counts.fn} missed`;
  panels["against the label"].draw(against, SIDE, SIDE, "against the label", sums);
  drawHistogram(chart, levels, threshold);
  line = sweep(levels).map(metrics);
  const points = [
    ["this threshold", metrics(counts)],
    ["Otsu here", line[otsu(levels[0].map((count, level) => count + levels[1][level]))]],
    ...Object.entries(index.points[arrays.number]).map(([name, four]) => [name, metrics(four)]),
  ];
  drawCurve(curve, line, points.map(([, values], i) => [SIGNS[i], values]));
  const row = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, {}, text)));
  const percent = (value) => (Number.isNaN(value) ? "–" : `${value.toFixed(1)} %`);
  scores.replaceChildren(
    row("th", ["", ...Object.keys(points[0][1])]),
    ...points.map(([name, values], i) => row("td", [`${SIGNS[i]} ${name}`, ...Object.values(values).map(percent)])),
  );
  root.shown = { smoothed, threshold, mask, line }; // for whoever wants to look from outside
}

/** The controls as a link carries them. */
function link() {
  return Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
}

/** Set the controls as a link says; what it does not name is as the detector is shipped. */
async function follow(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  controls.detector.value = given.get("detector") ?? "upcracknet";
  preset();
  for (const [name, value] of given) {
    const control = controls[name];
    if (control?.input.tagName === "SELECT") control.value = value;
    else if (control && value !== "" && Number.isFinite(Number(value))) control.value = Number(value);
  }
  await restart();
}

/** A press on a chart sets a fixed threshold: there, or where the curve has that recall. */
function fix(value) {
  controls.rule.value = "fixed";
  controls.fixed.value = value;
  update();
}

function build() {
  controls.road.offer(index.roads.entries());
  controls.variant.offer(index.variants.map((name) => [name, name]));
  const shown = Object.values(panels).map((one) => one.root);
  onPress(chart, (share) => fix((share * chart.dataset.end) / 255));
  onPress(curve, (share) => {
    const far = line.map(({ recall }) => Math.abs(recall - 100 * share));
    const level = far.indexOf(Math.min(...far)); // -1 where no crack is: there is no recall
    if (level >= 0) fix(Math.ceil((level / 255) * 500) / 500);
  });
  root.replaceChildren(
    element("div", { class: "alive-controls" }, ...Object.values(controls).map((control) => control.root)),
    element("div", { class: "alive-panels" }, ...shown, chart, curve),
    scores,
    element(
      "div",
      { class: "alive-buttons" },
      button("As shipped", () => (preset(), restart())),
      button("Save settings.yaml", () => save("settings.yaml", new Blob([yaml()], { type: "text/yaml" }))),
    ),
    element("details", {}, element("summary", {}, "These settings as lines to copy"), lines),
  );
}

begin(root, async () => {
  index = await json("roads.json");
  build();
  await follow(location.hash);
  window.addEventListener("hashchange", () => follow(location.hash)); // a link pasted into this very page
});
