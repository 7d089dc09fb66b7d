/** The tuner: filter and threshold of chapter 14 as sliders, on recorded maps. */

import { begin, button, choice, COLORS, copy, element, painted, panel, save, slider } from "./page.js";
import { unpack } from "./fetch.js";
import { metrics } from "./pixels.js";
import { drawHistogram, thresholdAt } from "./histogram.js";

const VARIANTS = ["absolute", "gray", "signed", "released"].map((name) => [name, name]);
const DETECTORS = [["upcracknet", "UP-CrackNet"], ["drawn", "drawn-crack detector"]];
const RULES = [
  ["otsu", "Otsu"],
  ["otsu_factor", "Otsu × factor"],
  ["fixed", "fixed"],
  ["percentile", "percentile"],
];
const OFF = 0.01; // gray levels: so narrow a color weight leaves every pixel as it is
const HEAT = ["#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf"]; // magma
const SIDE = 256;

const root = document.getElementById("tuner");
const files = new URL(root.dataset.files, document.baseURI);
const heat = heatTable();
const worker = new Worker(new URL("tuner_worker.js", import.meta.url), { type: "module" });
const said = element("div", { class: "alive-said", role: "status" });
let index; // roads.json
let arrays; // of the road
let fresh = true; // the worker lacks the map
let pending = null; // "busy" or "again"
let asked = 0; // when

const controls = {
  road: choice("road", [], restart),
  detector: choice("detector", DETECTORS, () => (preset(), restart())),
  variant: choice("error map", VARIANTS, restart),
  filter: choice("filter", [["bilateral", "bilateral"], ["none", "off"]], update),
  d: slider("d", { min: 1, max: 35, step: 1, value: 25, unit: " px" }, update),
  sigmaColor: slider("σ color", { min: 1, max: 300, step: 1, value: 150, unit: " levels" }, update),
  sigmaSpace: slider("σ space", { min: 0.5, max: 50, step: 0.5, value: 15, unit: " px" }, update),
  rule: choice("threshold", RULES, update),
  factor: slider("factor", { min: 0, max: 3, step: 0.05, value: 1 }, update),
  fixed: slider("level", { min: 0, max: 1, step: 0.002, value: 0.1 }, update),
  percentile: slider("percentile", { min: 50, max: 100, step: 0.25, value: 95, unit: " %" }, update),
  floor: slider("never below", { min: 0, max: 0.5, step: 0.005, value: 0 }, update),
  area: slider("least area", { min: 0, max: 1, step: 0.02, value: 0, unit: " %" }, update),
};
const panels = Object.fromEntries(
  ["photo", "restored", "error map", "smoothed", "mask", "against the label"].map((name) => [name, panel(name)]),
);
const chart = element("div", { class: "alive-chart" });
const scores = element("table", { class: "alive-scores" });

/** The value that the chosen rule needs; a rule without one has 1, as in the presets. */
function ruleValue() {
  const needs = { otsu_factor: "factor", fixed: "fixed", percentile: "percentile" }[controls.rule.value];
  return needs ? controls[needs].value : 1;
}

/** What is chosen, by the names of chapter 14's parameters and of `upcrack detect --settings`. */
function settings() {
  const restores = controls.detector.value === "upcracknet";
  const off = controls.filter.value === "none";
  return {
    ...(restores ? { error_variant: controls.variant.value } : { map_filter: controls.filter.value }),
    bilateral_d: controls.d.value,
    bilateral_sigma_color: restores && off ? OFF : controls.sigmaColor.value,
    bilateral_sigma_space: controls.sigmaSpace.value,
    threshold_rule: controls.rule.value,
    threshold_value: ruleValue(),
    threshold_floor: controls.floor.value,
  };
}

function yaml() {
  return Object.entries(settings()).map(([name, value]) => `${name}: ${value}\n`).join("");
}

/** Give the controls the values that a detector is shipped with. */
function preset() {
  const start = index.start[controls.detector.value];
  controls.variant.value = start.error_variant ?? "absolute";
  controls.filter.value = start.map_filter ?? "bilateral";
  controls.d.value = start.bilateral_d;
  controls.sigmaColor.value = start.bilateral_sigma_color;
  controls.sigmaSpace.value = start.bilateral_sigma_space;
  controls.rule.value = start.threshold_rule;
  const needs = { otsu_factor: "factor", fixed: "fixed", percentile: "percentile" }[start.threshold_rule];
  if (needs) controls[needs].value = start.threshold_value;
  controls.floor.value = start.threshold_floor;
  controls.area.value = 0;
}

/** Another road or map: fetch it, and show what does not depend on the sliders. */
async function restart() {
  const number = Number(controls.road.value);
  if (arrays?.number !== number) {
    const packed = await unpack(new URL(`road-${number}.bin`, files));
    let from = 0;
    arrays = { number };
    for (const [name, shape] of Object.entries(index.arrays)) {
      const size = shape.reduce((a, b) => a * b);
      arrays[name] = packed.subarray(from, (from += size));
    }
  }
  fresh = true;
  const restores = controls.detector.value === "upcracknet";
  const [side] = index.arrays.restored;
  panels.photo.draw(rgb(arrays.photo, SIDE), SIDE, SIDE, "photo", index.roads[number]);
  panels.restored.draw(rgb(arrays.restored, side), side, side, "restored", "restored by UP-CrackNet");
  panels.restored.root.hidden = controls.variant.root.hidden = !restores;
  const map = currentMap();
  const top = Math.max(1, map.reduce((a, b) => Math.max(a, b), 0));
  arrays.top = top;
  const name = restores ? "error map" : "crack probability";
  panels["error map"].draw(hot(map, top), SIDE, SIDE, `${name}, 0 to ${(top / 255).toFixed(2)}`);
  update();
}

function currentMap() {
  return arrays[controls.detector.value === "drawn" ? "drawn" : controls.variant.value];
}

/** Ask the worker; while it works, only the newest wish is kept. */
function update() {
  controls.factor.root.hidden = controls.rule.value !== "otsu_factor";
  controls.fixed.root.hidden = controls.rule.value !== "fixed";
  controls.percentile.root.hidden = controls.rule.value !== "percentile";
  const filtered = controls.filter.value !== "none";
  for (const name of ["d", "sigmaColor", "sigmaSpace"]) controls[name].input.disabled = !filtered;
  if (!arrays) return;
  if (pending) {
    pending = "again";
    return;
  }
  pending = "busy";
  asked = performance.now();
  setTimeout(() => pending && root.setAttribute("aria-busy", "true"), 100);
  const wish = {
    filter: filtered,
    d: controls.d.value,
    sigmaColor: controls.sigmaColor.value,
    sigmaSpace: controls.sigmaSpace.value,
    rule: controls.rule.value,
    value: ruleValue(),
    floor: controls.floor.value,
    area: controls.area.value / 100,
  };
  const road = fresh ? { map: currentMap(), truth: arrays.truth, height: SIDE, width: SIDE } : null;
  fresh = false;
  worker.postMessage({ settings: wish, road });
}

worker.onmessage = ({ data }) => {
  show(data);
  const again = pending === "again";
  pending = null;
  root.removeAttribute("aria-busy");
  root.dataset.milliseconds = Math.round(performance.now() - asked);
  root.dataset.answers = Number(root.dataset.answers ?? 0) + 1;
  if (again) update();
  else history.replaceState(null, "", `#${new URLSearchParams(link())}`);
};

/** Show what the worker found. */
function show({ smoothed, threshold, mask, levels, counts }) {
  const top = arrays.top;
  panels.smoothed.draw(hot(smoothed, top), SIDE, SIDE, `smoothed, 0 to ${(top / 255).toFixed(2)}`);
  const share = (100 * (counts.tp + counts.fp)) / mask.length;
  const black = [0, 0, 0];
  const white = [255, 255, 255];
  const marked = `mask, ${share.toFixed(1)} % crack`;
  panels.mask.draw(painted(mask.length, (i) => (mask[i] ? white : black)), SIDE, SIDE, marked);
  const { photo, truth } = arrays;
  const against = painted(mask.length, (i) => {
    if (mask[i] || truth[i]) return COLORS[mask[i] ? (truth[i] ? "tp" : "fp") : "fn"];
    const gray = 0.299 * photo[3 * i] + 0.587 * photo[3 * i + 1] + 0.114 * photo[3 * i + 2];
    return [gray, gray, gray];
  });
  const sums = `${counts.tp} pixels found, ${counts.fp} false alarms, ${counts.fn} missed`;
  panels["against the label"].draw(against, SIDE, SIDE, "against the label", sums);
  drawHistogram(chart, levels, threshold);
  const values = Object.entries(metrics(counts));
  const row = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, {}, text)));
  const percent = (value) => (Number.isNaN(value) ? "–" : `${value.toFixed(1)} %`);
  scores.replaceChildren(
    row("th", values.map(([name]) => name)),
    row("td", values.map(([, value]) => percent(value))),
  );
  root.shown = { smoothed, threshold, mask }; // for whoever wants to look from outside
}

/** The controls as a link carries them. */
function link() {
  return Object.entries(controls).map(([name, control]) => [name, control.value]);
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

function rgb(bytes, side) {
  return painted(side * side, (i) => [bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]]);
}

function hot(map, top) {
  return painted(map.length, (i) => heat[Math.min(255, Math.round((255 * map[i]) / top))]);
}

/** 256 colors between those of HEAT. */
function heatTable() {
  const stops = HEAT.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return [0, 1, 2].map((c) => stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]));
  });
}

function build() {
  index.roads.forEach((title, number) => controls.road.input.append(element("option", { value: number }, title)));
  const key = element("p", { class: "alive-key" });
  for (const [name, text] of [["tp", "found (TP)"], ["fp", "false alarm (FP)"], ["fn", "missed (FN)"]]) {
    key.append(element("span", { class: "alive-swatch", style: `background: rgb(${COLORS[name]})` }), ` ${text} `);
  }
  const shown = Object.values(panels).map((one) => one.root);
  chart.addEventListener("pointerdown", drag);
  chart.addEventListener("pointermove", (event) => event.buttons && drag(event));
  root.replaceChildren(
    element("div", { class: "alive-controls" }, ...Object.values(controls).map((control) => control.root)),
    scores,
    element("div", { class: "alive-panels" }, ...shown.slice(0, 4), chart, ...shown.slice(4)),
    key,
    element(
      "div",
      { class: "alive-buttons" },
      button("As shipped", () => (preset(), restart())),
      button("Copy link", () => copy(location.href, said)),
      button("Copy settings", () => copy(yaml(), said)),
      button("Save settings.yaml", () => save("settings.yaml", new Blob([yaml()], { type: "text/yaml" }))),
    ),
    said,
  );
}

/** A press on the histogram sets a fixed threshold there. */
function drag(event) {
  const value = thresholdAt(chart, event.clientX);
  if (value === null) return;
  controls.rule.value = "fixed";
  controls.fixed.value = value;
  update();
}

begin(root, async () => {
  index = await (await fetch(new URL("roads.json", files))).json();
  build();
  await follow(location.hash);
  window.addEventListener("hashchange", () => follow(location.hash)); // a link pasted into this very page
});
