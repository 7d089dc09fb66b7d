/** The drawn-crack detector beside the page: photo in, levels of crack probability out. Loaded at the first photo. */

import { unpack } from "./fetch.js";
import { addEnlarged, addHalved, cut, doubled, normalized, rounded, shrunk, tiles, toGray } from "./vision.js";

let network = null; // a promise of the session and its settings
let newest = 0; // photo; an older one is given up
let turn = Promise.resolve(); // one photo at a time

self.onmessage = ({ data }) => {
  newest = data.photo;
  network ??= load(data.files, data.runtime);
  turn = turn.then(() => detect(data)).catch((error) => {
    self.postMessage({ photo: data.photo, error: String(error.message ?? error) });
  });
};

async function load(files, runtime) {
  const ort = await import(`${runtime}ort.wasm.min.mjs`);
  ort.env.wasm.numThreads = 1; // more would need headers that a plain file server does not send
  ort.env.wasm.wasmPaths = { mjs: `${runtime}ort-wasm-simd-threaded.mjs` };
  ort.env.wasm.wasmBinary = await unpack(`${runtime}ort-wasm-simd-threaded.wasm.gz`);
  const settings = await (await fetch(`${files}photo.json`)).json();
  const session = await ort.InferenceSession.create(await unpack(`${files}drawn.onnx`));
  return { ort, session, settings };
}

/** The mean of the logits at several scales, as `score_map` has it, then the probability in 255 steps. */
async function detect({ photo, rgba, height, width }) {
  const { ort, session, settings } = await network;
  const gray = toGray(rgba);
  const octaves = [];
  const first = Math.min(height, width) < settings.enlarge_below ? -1 : 0;
  for (let octave = first; octave < settings.octaves; octave++) {
    const [high, wide] = [height, width].map((length) => Math.max(1, rounded(length / 2 ** octave)));
    octaves.push({ octave, high, wide, parts: tiles(high, wide, settings.tile, settings.margin) });
  }
  const all = octaves.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.height * part.width, 0);
  const total = new Float32Array(height * width);
  let done = 0;
  for (const { octave, high, wide, parts } of octaves) {
    let scaled = gray;
    if (octave < 0) scaled = doubled(gray, height, width);
    if (octave > 0) scaled = shrunk(gray, height, width, high, wide);
    scaled = normalized(scaled);
    const logits = new Float32Array(high * wide);
    for (const part of parts) {
      self.postMessage({ photo, progress: done / all });
      if (photo !== newest) return;
      const image = cut(scaled, wide, part, settings.multiple);
      const given = new ort.Tensor("float32", image.data, [1, 1, image.height, image.width]);
      const result = await session.run({ [session.inputNames[0]]: given });
      const { data } = result[session.outputNames[0]];
      for (let y = part.y; y < part.end.y; y++) {
        const row = (y - part.top) * image.width - part.left;
        logits.set(data.subarray(row + part.x, row + part.end.x), y * wide + part.x);
      }
      done += part.height * part.width;
    }
    if (octave < 0) addHalved(total, height, width, logits);
    else addEnlarged(total, height, width, logits, high, wide);
  }
  const level = (sum) => rounded(255 / (1 + Math.exp(-sum / octaves.length)));
  self.postMessage({ photo, levels: Uint8Array.from(total, level) });
}
