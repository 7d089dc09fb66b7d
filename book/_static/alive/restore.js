/** UP-CrackNet in the page: a hole to move, a crack to draw, and what G makes of them. */

import { asker, begin, button, choice, colored, element, hot, panel, slider } from "./page.js";
import { beside, json, loadArrays } from "./fetch.js";

const FILLS = { black: [0, 0, 0], "mean color": null, "mid-gray": [128, 128, 128], white: [255, 255, 255] };
const ARROWS = { ArrowLeft: [-3, 0], ArrowRight: [3, 0], ArrowUp: [0, -3], ArrowDown: [0, 3] }; // px
const TOP = 80; // gray levels: the error that has the brightest color

const root = document.getElementById("restore");
const said = element("p", { role: "status" });
const panels = ["what G gets", "restored", `error, 0 to ${TOP} levels`].map(panel);
const pad = panels[0].canvas;
const controls = {
  road: choice("road", [], restart),
  tool: choice("dragging", [["hole", "moves the hole"], ["pen", "draws a crack"]], show),
  fill: choice("hole color", Object.keys(FILLS).map((name) => [name, name]), show),
  size: slider("hole size", { min: 0, max: 64, step: 2, value: 32, unit: " px" }, show),
  level: slider("crack's gray level", { min: 0, max: 255, step: 5, value: 30 }, show),
  width: slider("crack's width", { min: 1, max: 6, step: 0.5, value: 2, unit: " px" }, show),
  own: choice("statistics", [["0", "running (training)"], ["1", "batch (this photo)"]], show),
};
let index; // roads.json
let side; // of the square that G takes, px
let road; // red, green and blue, 0 to 255, pixel after pixel; null until it is there
let layer; // where the crack is drawn
let places; // x and y of the hole's center and of the pen
let scene; // of each pixel, the crack's opacity and whether it is in the hole; the levels with the crack, and with both
let sent; // the scene that the worker restores
let ask; // the worker, once the network is wanted

async function restart() {
  const wanted = controls.road.value;
  [road, root.dataset.settled] = [null, false];
  const { small } = await loadArrays(`road-${wanted}.bin`, index.arrays);
  if (wanted !== controls.road.value) return; // another was chosen meanwhile
  road = small;
  side = index.arrays.small[0];
  layer = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  places = { hole: [side / 2, side / 2], pen: [side / 8, side / 4] };
  show();
}

/** The mean level where `which(pixel, channel)` holds; NaN where it never does. */
function mean(levels, which) {
  const those = levels.filter((_, i) => which(Math.floor(i / 3), i % 3));
  return those.reduce((sum, level) => sum + level, 0) / those.length;
}

/** Put crack and hole into the road, show it, and let G restore it. */
function show() {
  if (!road) return;
  const [level, half] = [controls.level.value, controls.size.value / 2];
  const { data } = layer.getImageData(0, 0, side, side);
  const opacity = Float32Array.from({ length: side ** 2 }, (_, i) => data[4 * i + 3] / 255);
  const within = (at, center) => at >= center - half && at < center + half;
  const [x, y] = places.hole;
  const inside = opacity.map((_, i) => within(i % side, x) && within(Math.floor(i / side), y));
  const drawn = Float32Array.from(road, (value, i) => value + opacity[Math.floor(i / 3)] * (level - value));
  const kept = (channel) => mean(drawn, (i, of) => of === channel && !inside[i]);
  const color = FILLS[controls.fill.value] ?? [0, 1, 2].map(kept);
  const given = drawn.map((value, i) => Math.round(inside[Math.floor(i / 3)] ? color[i % 3] : value));
  scene = { opacity, inside, drawn, given };
  panels[0].draw(colored(given), side, side, "what G gets", "road, hole and crack: drag, or use the arrow keys");
  if (controls.tool.value === "pen") {
    const context = Object.assign(pad.getContext("2d"), { strokeStyle: "#ff9500" });
    context.strokeRect(places.pen[0] - 1.5, places.pen[1] - 1.5, 3, 3);
  }
  ask?.();
}

/** What the worker restores: channel after channel, in [-1, 1]. */
function wish() {
  const { given } = (sent = scene);
  const masked = given.map((_, i) => given[3 * (i % side ** 2) + Math.floor(i / side ** 2)] / 127.5 - 1);
  return { masked, side, own: Number(controls.own.value) };
}

function answered({ restored, error }) {
  if (error) return (said.textContent = `The network did not run: ${error}`);
  const { opacity, inside, drawn } = sent;
  const levels = drawn.map((_, i) => Math.round((restored[side ** 2 * (i % 3) + Math.floor(i / 3)] + 1) * 127.5));
  const errors = levels.map((level, i) => Math.abs(level - drawn[i]));
  panels[1].draw(colored(levels), side, side);
  const means = opacity.map((_, i) => mean(errors.subarray(3 * i, 3 * i + 3), () => true));
  panels[2].draw(hot(means, TOP, index.heat), side, side);
  const isCrack = (i) => opacity[i] > 0.5 && !inside[i];
  const change = (values) => mean(values, isCrack) - mean(road, isCrack);
  const found = { hole: mean(errors, (i) => inside[i]), crack: (100 * change(levels)) / change(drawn) };
  found.road = mean(errors, (i) => !inside[i] && !opacity[i]);
  const hole = found.hole >= 0 ? `, ${found.hole.toFixed(1)} in the hole` : "";
  const crack = isNaN(found.crack) ? "" : ` Of your crack's contrast, ${found.crack.toFixed(0)} % is left.`;
  said.textContent = `Mean error: ${found.road.toFixed(1)} gray levels on the road${hole}.${crack}`;
  root.shown = { ...sent, levels, ...found }; // for whoever wants to look from outside
}

/** Move the hole or the pen to a place; the pen may draw on its way. */
function go(to, draws) {
  const tool = controls.tool.value;
  const place = to.map((at) => Math.min(Math.max(Math.round(at), 0), side));
  if (tool === "pen" && draws) {
    Object.assign(layer, { lineWidth: controls.width.value, lineCap: "round" });
    layer.beginPath();
    layer.moveTo(...places.pen);
    layer.lineTo(...place);
    layer.stroke();
  }
  places[tool] = place;
  show();
}

function build() {
  const at = ({ offsetX, offsetY }) => [(offsetX / pad.clientWidth) * side, (offsetY / pad.clientHeight) * side];
  pad.tabIndex = 0;
  pad.classList.add("alive-pad");
  pad.addEventListener("pointerdown", (event) => (pad.setPointerCapture(event.pointerId), go(at(event), false)));
  pad.addEventListener("pointermove", (event) => event.buttons && go(at(event), true));
  pad.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    go(places[controls.tool.value].map((from, i) => from + step[i]), !event.shiftKey);
  });
  const start = button("Load the network (9 MB) and restore", () => {
    start.hidden = true;
    said.textContent = "Loading the network …";
    ask = asker(root, new Worker(beside("restore_worker.js"), { type: "module" }), wish, answered);
    show();
  });
  root.replaceChildren(
    element("div", { class: "alive-controls" }, ...Object.values(controls).map((control) => control.root)),
    element("div", { class: "alive-panels alive-large" }, ...panels.map((one) => one.root)),
    element("div", { class: "alive-buttons" }, start, button("Start anew", restart)),
    said,
  );
}

begin(root, async () => {
  index = await json("roads.json");
  controls.road.offer(index.roads.entries());
  await restart();
  build(); // what can be pressed comes when there is a road
});
