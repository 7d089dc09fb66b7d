/** The drawn-crack detector on the reader's own photo: nothing is sent anywhere. */

import { begin, button, element, grays, panel, save, slider } from "./page.js";
import { beside, json } from "./fetch.js";
import { outline } from "./vision.js";

const MOST = 30; // million pixels

const root = document.getElementById("photo");
const panels = { outline: panel("outline"), probability: panel("probability"), mask: panel("mask") };
const results = element("div", { hidden: true });
const said = element("p", { role: "status" });
const bar = element("progress", { max: 1, value: 0, "aria-label": "progress" });
const threshold = slider("threshold", { min: 0, max: 1, step: 0.005, value: 0.5 }, show);
let worker = null; // from the first photo on
let detected; // the color of the line
let photo = null; // the one chosen last: { name, rgba, height, width, started, levels, apart, blank, seconds }

/** Read a file or blob as the pixels of a photo, turned as its EXIF tag says. */
async function pixelsOf(blob) {
  const plain = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(blob, plain).catch(() => null);
  if (!bitmap) throw new Error("it is no photo that this browser can read; try JPEG or PNG");
  const { height, width } = bitmap;
  if (height * width > MOST * 1e6) {
    throw new Error(`it has more than ${MOST} million pixels; use upcrack detect on your computer`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { rgba: context.getImageData(0, 0, width, height).data, height, width };
}

/** Look for cracks in a file; what was looked at before is given up. */
async function detect(blob, name) {
  stop(`Reading ${name} …`);
  const chosen = (photo = { name });
  const read = await pixelsOf(blob).catch((error) => error);
  if (photo !== chosen) return;
  if (!read.rgba) return stop(`${name}: ${read.message}.`);
  Object.assign(photo, read, { started: performance.now() });
  said.textContent = worker ? "Looking …" : "Loading the network (8 MB, once) …";
  root.setAttribute("aria-busy", "true");
  bar.value = 0;
  if (!worker) {
    worker = new Worker(beside("photo_worker.js"), { type: "module" });
    worker.onmessage = answered;
    worker.onerror = () => stop("The network could not be started in this browser.");
  }
  worker.postMessage(read);
}

function answered({ data }) {
  if (data.error) {
    stop(`The network did not run: ${data.error}`);
  } else if (data.levels) {
    Object.assign(photo, data, { seconds: (performance.now() - photo.started) / 1000 });
    root.removeAttribute("aria-busy");
    results.hidden = false;
    panels.probability.draw(grays(photo.levels), photo.height, photo.width);
    show();
  } else {
    said.textContent = "Looking …";
    bar.value = data.progress;
  }
}

/** Forget the photo, and say why; a worker that still looks at it goes, too. */
function stop(why) {
  if (root.ariaBusy) {
    worker.terminate();
    worker = null;
  }
  root.removeAttribute("aria-busy");
  results.hidden = true;
  said.textContent = why;
  photo = null;
}

/** Draw what lies above the threshold. */
function show() {
  if (!photo?.levels) return;
  const { rgba, height, width, levels, name, seconds, apart, blank } = photo;
  const level = Math.floor(threshold.value * 255 + 1e-3);
  const mask = levels.map((value) => (value > level ? 1 : 0));
  const lines = outline(mask, height, width);
  const drawn = new Uint8ClampedArray(rgba);
  lines.forEach((kind, i) => kind && drawn.set(kind === 2 ? detected : [0, 0, 0], 4 * i));
  const fraction = (100 * mask.reduce((sum, crack) => sum + crack, 0)) / mask.length;
  panels.outline.draw(drawn, height, width, "cracks, outlined", `${name} with a line around what was detected`);
  panels.mask.draw(grays(mask.map((crack) => 255 * crack)), height, width);
  const warning = blank ? "no contrast: nothing can be found here; " : "";
  const found = `crack fraction ${fraction.toFixed(2)} %. It took ${seconds.toFixed(1)} s.`;
  said.textContent = `${name}, ${width} × ${height} px: ${warning}${found}`;
  root.shown = { levels, mask, fraction, apart }; // for whoever wants to look from outside
}

function saveMask() {
  const name = photo.name.replace(/\.[^.]*$/, "");
  panels.mask.canvas.toBlob((blob) => save(`${name}_mask.png`, blob));
}

function build(roads) {
  const again = () => (input.value = ""); // the same file may be chosen twice
  const input = element("input", { type: "file", accept: "image/*", click: again, change: () => take(input.files) });
  const label = element("label", { class: "alive-drop" }, "Choose a photo, drop it here, or paste it. ", input);
  const take = (list) => list.length && detect(list[0], list[0].name);
  label.addEventListener("dragover", (event) => event.preventDefault());
  label.addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files)));
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  const samples = roads.map((title, number) =>
    button(title, async () => detect(await (await fetch(beside(`try-${number}.png`))).blob(), `try-${number}.png`)),
  );
  results.append(
    element("div", { class: "alive-controls" }, threshold.root),
    element("div", { class: "alive-panels alive-large" }, ...Object.values(panels).map((one) => one.root)),
    element("div", { class: "alive-buttons" }, button("Save the mask", saveMask)),
  );
  root.replaceChildren(
    label,
    element("div", { class: "alive-buttons" }, element("span", {}, "Or a synthetic road:"), ...samples),
    said,
    bar,
    results,
  );
}

begin(root, async () => {
  const settings = await json("photo.json");
  threshold.value = settings.threshold_value;
  detected = settings.color;
  build(settings.roads);
});
