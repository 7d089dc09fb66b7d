/**
 * What the drawn-crack detector does around its network, on typed arrays: `upcrack_lite/drawn/detect.py` in the page.
 * Images are row by row; gray is Uint8Array or Float32Array of height * width.
 */

/** To the nearest whole number, halves to the even one, as Python and OpenCV round. */
export function rounded(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below;
}

/** Brightness of RGBA pixels in OpenCV's whole-number arithmetic (ITU-R BT.601, weights of 1/32768). */
export function toGray(rgba) {
  const gray = new Uint8Array(rgba.length / 4);
  for (let i = 0, at = 0; i < gray.length; i++, at += 4) {
    gray[i] = (9798 * rgba[at] + 19235 * rgba[at + 1] + 3735 * rgba[at + 2] + 16384) >> 15;
  }
  return gray;
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

/** Shrink gray by averaging over areas (OpenCV's INTER_AREA), rounded to whole levels. */
export function shrunk(gray, height, width, newHeight, newWidth) {
  const [rows, columns] = [areas(height, newHeight), areas(width, newWidth)];
  const half = height === 2 * newHeight && width === 2 * newWidth; // there, halves are rounded up
  const result = new Uint8Array(newHeight * newWidth);
  for (let y = 0, at = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      let sum = 0;
      for (const [row, share] of rows[y]) {
        let along = 0;
        for (const [column, weight] of columns[x]) along += weight * gray[row * width + column];
        sum += share * along;
      }
      result[at++] = half ? Math.floor(sum + 0.5) : rounded(sum);
    }
  }
  return result;
}

const CUBIC = [-216, 1800, 536, -72]; // weights of 1/2048, a quarter of a pixel beyond the second of four

/** Gray at twice its size, interpolated by OpenCV's cubic weights in whole numbers (INTER_CUBIC). */
export function doubled(gray, height, width) {
  const inside = (at, length) => Math.min(Math.max(at, 0), length - 1);
  // New pixel 2 k lies a quarter before pixel k, and 2 k + 1 a quarter behind it.
  const places = (length) =>
    Array.from({ length: 2 * length }, (_, to) => {
      const [first, step] = to % 2 ? [(to - 1) / 2 - 1, 1] : [to / 2 + 1, -1];
      return CUBIC.map((weight, i) => [inside(first + step * i, length), weight]);
    });
  const [rows, columns] = [places(height), places(width)];
  const wide = new Int32Array(height * 2 * width);
  for (let y = 0, at = 0; y < height; y++) {
    for (const parts of columns) {
      let sum = 0;
      for (const [x, weight] of parts) sum += weight * gray[y * width + x];
      wide[at++] = sum;
    }
  }
  const result = new Uint8ClampedArray(4 * height * width);
  rows.forEach((parts, y) => {
    for (let x = 0; x < 2 * width; x++) {
      let sum = 0;
      for (const [row, weight] of parts) sum += weight * wide[row * 2 * width + x];
      result[y * 2 * width + x] = Math.floor(sum / 2 ** 22 + 0.5);
    }
  });
  return result;
}

/** Add a map of twice the size to `total`, averaged over squares of 2 x 2. */
export function addHalved(total, height, width, map) {
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [upper, lower] = [4 * y * width + 2 * x, (4 * y + 2) * width + 2 * x];
      total[at++] += (map[upper] + map[upper + 1] + map[lower] + map[lower + 1]) / 4;
    }
  }
}

/** Minus the mean, over the standard deviation + 4. */
export function normalized(gray) {
  let sum = 0;
  let squares = 0;
  for (const level of gray) sum += level;
  const mean = sum / gray.length;
  for (const level of gray) squares += (level - mean) ** 2;
  const deviation = Math.sqrt(squares / gray.length);
  return Float32Array.from(gray, (level) => (level - mean) / (deviation + 4));
}

/** For each of `size` places along a line of `length` samples: the sample before, the one after, its weight. */
function between(length, size) {
  return Array.from({ length: size }, (_, to) => {
    const at = Math.min(Math.max(((to + 0.5) * length) / size - 0.5, 0), length - 1);
    const low = Math.min(Math.floor(at), Math.max(length - 2, 0));
    return [low, Math.min(low + 1, length - 1), at - low];
  });
}

/** Add a map to `total`, enlarged to its size by linear interpolation. */
export function addEnlarged(total, newHeight, newWidth, map, height, width) {
  const [rows, columns] = [between(height, newHeight), between(width, newWidth)];
  for (let y = 0, at = 0; y < newHeight; y++) {
    const [top, bottom, down] = rows[y];
    for (let x = 0; x < newWidth; x++) {
      const [left, right, across] = columns[x];
      const upper = map[top * width + left] * (1 - across) + map[top * width + right] * across;
      const lower = map[bottom * width + left] * (1 - across) + map[bottom * width + right] * across;
      total[at++] += upper * (1 - down) + lower * down;
    }
  }
}

/** Where a sample beyond the end of `length` is taken from: mirrored, or the last one where a mirror shows too little. */
function beyond(index, length, mirror) {
  if (index < length) return index;
  return mirror ? 2 * (length - 1) - index : length - 1;
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

/** A part of normalized gray, enlarged to the right and below until `multiple` divides both sides. */
export function cut(gray, width, part, multiple) {
  const [high, wide] = [part.height, part.width].map((length) => Math.ceil(length / multiple) * multiple);
  const mirror = wide - part.width < part.width && high - part.height < part.height;
  const data = new Float32Array(high * wide);
  for (let y = 0, at = 0; y < high; y++) {
    const row = (part.top + beyond(y, part.height, mirror)) * width + part.left;
    for (let x = 0; x < wide; x++) data[at++] = gray[row + beyond(x, part.width, mirror)];
  }
  return { data, height: high, width: wide };
}

/** A mask, grown by a square of 3 x 3 px `times` times. */
function grown(mask, height, width, times) {
  let from = mask;
  for (let turn = 0; turn < times; turn++) {
    const across = new Uint8Array(from.length);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        across[i] = from[i] | (x > 0 && from[i - 1]) | (x < width - 1 && from[i + 1]);
      }
    }
    const both = new Uint8Array(from.length);
    for (let i = 0; i < across.length; i++) both[i] = across[i] | across[i - width] | across[i + width];
    from = both;
  }
  return from;
}

/** 0 where the photo shows, 1 on the black and 2 on the orange line around what was detected (`images.outline`). */
export function outline(mask, height, width) {
  const thick = Math.max(1, rounded(Math.max(height, width) / 1000));
  const near = grown(mask, height, width, thick);
  const far = grown(near, height, width, thick);
  return Uint8Array.from(mask, (crack, i) => (crack ? 0 : near[i] ? 2 : far[i] ? 1 : 0));
}
