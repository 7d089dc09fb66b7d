/**
 * The drawn-crack detector beside the page: photo in, levels of crack probability out. Started with the first photo;
 * the page ends it, and starts another, where a photo comes before the last is done.
 */

import { json, load } from "./fetch.js";
import { add, contrast, cut, normalized, rounded, scaled, tiles, toGray } from "./vision.js";

const network = Promise.all([json("photo.json"), load("drawn.onnx")]); // its settings, and how to run it

self.onmessage = ({ data }) => {
  detect(data).catch((error) => self.postMessage({ error: String(error.message ?? error) }));
};

/** The mean of the logits at several scales, as `score_map` has it, then the probability in 255 steps. */
async function detect({ rgba, height, width }) {
  const [settings, run] = await network;
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
    const levels = normalized(octave ? scaled(gray, height, width, high, wide) : gray);
    const logits = new Float32Array(high * wide);
    for (const part of parts) {
      self.postMessage({ progress: done / all });
      const image = cut(levels, wide, part, settings.multiple);
      const result = await run({ gray: [image.data, [1, 1, image.height, image.width]] });
      for (let y = part.y; y < part.end.y; y++) {
        const row = (y - part.top) * image.width - part.left;
        logits.set(result.subarray(row + part.x, row + part.end.x), y * wide + part.x);
      }
      done += part.height * part.width;
    }
    add(total, height, width, logits, high, wide);
  }
  const level = (sum) => rounded(255 / (1 + Math.exp(-sum / octaves.length)));
  const apart = contrast(gray, height, width);
  self.postMessage({ levels: new Uint8Array(total.map(level)), apart, blank: apart < settings.no_contrast });
}
