/**
 * What the drawn-crack detector does around its network, on typed arrays: `upcrack_lite/drawn/detect.py` in the page.
 * Images are row by row; gray is Uint8Array or Float32Array of height * width.
 */

import { mirrored, picked } from "./pixels.js";

/** To the nearest whole number, halves to the even one, as Python and OpenCV round. */
export function rounded(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below;
}

/** Brightness of RGBA pixels in OpenCV's whole-number arithmetic (ITU-R BT.601, weights of 1/32768). */
export function toGray(rgba) {
  const level = (_, i) => (9798 * rgba[4 * i] + 19235 * rgba[4 * i + 1] + 3735 * rgba[4 * i + 2] + 16384) >> 15;
  return new Uint8Array(rgba.length / 4).map(level);
}

/** Which of `length` samples make up each of `size` ones, and with which weight: [[index, weight], …] for each. */
function areas(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, to) => {
    const [start, end] = [to * scale, Math.min((to + 1) * scale, length)];
    const parts = [];
    for (let from = Math.floor(start + 1e-3); from < end - 1e-3; from++) {
      parts.push([from, (Math.min(end, from + 1) - Math.max(start, from)) / (end - start)]);
    }
    return parts;
  });
}

/** The same for linear interpolation, to more samples. */
function between(length, size) {
  return Array.from({ length: size }, (_, to) => {
    const at = Math.min(Math.max(((to + 0.5) * length) / size - 0.5, 0), length - 1);
    const low = Math.min(Math.floor(at), Math.max(length - 2, 0));
    return [[low, 1 - at + low], [Math.min(low + 1, length - 1), at - low]];
  });
}

const CUBIC = [-216, 1800, 536, -72]; // weights of 1/2048, a quarter of a pixel beyond the second of four

/** The same for cubic interpolation, to twice as many: one a quarter before each sample, and one behind it. */
function cubic(length) {
  return Array.from({ length: 2 * length }, (_, to) => {
    const [first, step] = to % 2 ? [(to - 1) / 2 - 1, 1] : [to / 2 + 1, -1];
    return CUBIC.map((weight, i) => [Math.min(Math.max(first + step * i, 0), length - 1), weight / 2048]);
  });
}

/** Other rows of a map, each mixed from the old ones with its weights, and the result with rows as columns. */
function mixed(map, width, rows) {
  const turned = new Float32Array(width * rows.length);
  rows.forEach((parts, to) => {
    const sums = new Float64Array(width);
    for (const [y, weight] of parts) {
      for (let x = 0, at = y * width; x < width; x++, at++) sums[x] += weight * map[at];
    }
    for (let x = 0, at = to; x < width; x++, at += rows.length) turned[at] = sums[x];
  });
  return turned;
}

/** A map from other rows and columns: for each, which of the old ones make it up, and with which weight. */
const resampled = (map, width, rows, columns) => mixed(mixed(map, width, rows), rows.length, columns);

/** Gray levels at twice the size (OpenCV's INTER_CUBIC) or at a smaller one (INTER_AREA). */
export function scaled(gray, height, width, newHeight, newWidth) {
  const parts = newHeight > height ? cubic : areas;
  const halvesUp = newHeight > height || (height === 2 * newHeight && width === 2 * newWidth);
  const sums = resampled(gray, width, parts(height, newHeight), parts(width, newWidth));
  return new Uint8ClampedArray(halvesUp ? sums.map((sum) => Math.floor(sum + 0.5)) : sums); // which rounds to even
}

/** Add a map to `total` of another size: averaged over squares where it is larger, else interpolated. */
export function add(total, height, width, map, high, wide) {
  const parts = high > height ? areas : between;
  resampled(map, wide, parts(high, height), parts(wide, width)).forEach((value, i) => (total[i] += value));
}

/** The same for a Gaussian of σ = 4 samples, as OpenCV has it: 33 weights, mirrored at the ends. */
function blurred(length) {
  const weights = Array.from({ length: 33 }, (_, i) => Math.exp(-((i - 16) ** 2) / 32));
  const sum = weights.reduce((a, b) => a + b);
  return Array.from({ length }, (_, to) => weights.map((weight, i) => [mirrored(to + i - 16, length), weight / sum]));
}

/** Gray levels between the darkest and the brightest patch against what is around them (`predict/photos.py`). */
export function contrast(gray, height, width) {
  const [high, wide] = [height, width].map((length) => Math.max(1, Math.floor(length / 4)));
  const patches = resampled(gray, width, areas(height, high), areas(width, wide));
  const apart = resampled(patches, wide, blurred(high), blurred(wide)).map((around, i) => patches[i] - around);
  return apart.reduce((a, b) => Math.max(a, b)) - apart.reduce((a, b) => Math.min(a, b));
}

/** Minus the mean, over the standard deviation + 4. */
export function normalized(gray) {
  const mean = gray.reduce((sum, level) => sum + level, 0) / gray.length;
  const deviation = Math.sqrt(gray.reduce((sum, level) => sum + (level - mean) ** 2, 0) / gray.length);
  return Float32Array.from(gray).map((level) => (level - mean) / (deviation + 4));
}

/** The parts that a photo goes through the network in: tiles, each with a margin of what lies around it. */
export function tiles(height, width, tile, margin) {
  const parts = [];
  for (let y = 0; y < height; y += tile) {
    for (let x = 0; x < width; x += tile) {
      const [top, left] = [Math.max(0, y - margin), Math.max(0, x - margin)];
      const [bottom, right] = [Math.min(height, y + tile + margin), Math.min(width, x + tile + margin)];
      const end = { y: Math.min(height, y + tile), x: Math.min(width, x + tile) };
      parts.push({ y, x, end, top, left, height: bottom - top, width: right - left });
    }
  }
  return parts;
}

/** A part of normalized gray, mirrored to the right and below (or its last pixel repeated) until `multiple` divides. */
export function cut(gray, width, part, multiple) {
  const [high, wide] = [part.height, part.width].map((length) => Math.ceil(length / multiple) * multiple);
  const enough = wide - part.width < part.width && high - part.height < part.height;
  const beyond = enough ? mirrored : (index, length) => Math.min(index, length - 1);
  const from = (start, length, size) => Array.from({ length: size }, (_, i) => start + beyond(i, length));
  const data = picked(gray, width, from(part.top, part.height, high), from(part.left, part.width, wide));
  return { data, height: high, width: wide };
}

/** A mask, grown by a square of 3 x 3 px `times` times. */
function grown(mask, width, times) {
  let grows = mask;
  for (let turn = 0; turn < times; turn++) {
    const from = grows;
    const across = from.map((one, i) => one | (i % width && from[i - 1]) | ((i + 1) % width && from[i + 1]));
    grows = across.map((one, i) => one | across[i - width] | across[i + width]);
  }
  return grows;
}

/** 0 where the photo shows, 1 on the black and 2 on the orange line around what was detected (`images.outline`). */
export function outline(mask, height, width) {
  const thick = Math.max(1, rounded(Math.max(height, width) / 1000));
  const near = grown(mask, width, thick);
  const far = grown(near, width, thick);
  return mask.map((crack, i) => (crack ? 0 : near[i] ? 2 : far[i] ? 1 : 0));
}
