/**
 * Filter, threshold and score of chapter 14, on typed arrays; `upcrack_lite/detection.py` is the same in Python.
 * Maps are Uint8Array of height * width gray levels, masks Uint8Array of 0 and 1 (crack).
 */

/** Index beyond the border, mirrored about the outermost pixel (which is not repeated), as OpenCV does it. */
export function mirrored(index, length) {
  if (length === 1) return 0;
  while (index < 0 || index >= length) index = index < 0 ? -index : 2 * (length - 1) - index;
  return index;
}

/** Some rows and columns of a map, in their order. */
export function picked(map, width, rows, columns) {
  const found = new map.constructor(rows.length * columns.length);
  rows.forEach((row, y) => {
    for (let x = 0; x < columns.length; x++) found[y * columns.length + x] = map[row * width + columns[x]];
  });
  return found;
}

/**
 * Bilateral filter (Tomasi and Manduchi, 1998): a mean over a disk, each neighbor weighted by its distance and by
 * its difference in gray level. d: diameter of the disk, px; sigmaColor: gray levels; sigmaSpace: px.
 */
export function bilateral(map, height, width, d, sigmaColor, sigmaSpace) {
  const radius = Math.max(1, Math.floor(d / 2));
  const wide = width + 2 * radius;
  const around = (length) => Array.from({ length: length + 2 * radius }, (_, i) => mirrored(i - radius, length));
  const padded = picked(map, width, [...around(height), 0], around(width)); // three pixels are read beyond the end
  const byColor = new Float64Array(511); // of the difference + 255
  for (let i = -255; i <= 255; i++) byColor[i + 255] = Math.fround(Math.exp((-0.5 * i * i) / sigmaColor ** 2));
  const steps = [];
  const weights = [];
  for (let y = -radius; y <= radius; y++) {
    for (let x = -radius; x <= radius; x++) {
      const squared = x * x + y * y;
      if (squared > radius * radius) continue;
      steps.push(y * wide + x);
      weights.push(Math.fround(Math.exp((-0.5 * squared) / sigmaSpace ** 2)));
    }
  }
  const smoothed = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    // Four pixels at once: their sums do not wait for one another, which halves the time.
    for (let x = 0; x < width; x += 4) {
      const center = (y + radius) * wide + radius + x;
      const p = 255 - padded[center];
      const q = 255 - padded[center + 1];
      const r = 255 - padded[center + 2];
      const s = 255 - padded[center + 3];
      let total0 = 0, total1 = 0, total2 = 0, total3 = 0;
      let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
      for (let k = 0; k < steps.length; k++) {
        const at = center + steps[k];
        const weight = weights[k];
        const weight0 = weight * byColor[padded[at] + p];
        const weight1 = weight * byColor[padded[at + 1] + q];
        const weight2 = weight * byColor[padded[at + 2] + r];
        const weight3 = weight * byColor[padded[at + 3] + s];
        total0 += weight0;
        total1 += weight1;
        total2 += weight2;
        total3 += weight3;
        sum0 += weight0 * padded[at];
        sum1 += weight1 * padded[at + 1];
        sum2 += weight2 * padded[at + 2];
        sum3 += weight3 * padded[at + 3];
      }
      const means = [sum0 / total0, sum1 / total1, sum2 / total2, sum3 / total3];
      for (let i = 0; i < Math.min(4, width - x); i++) smoothed[y * width + x + i] = Math.round(means[i]);
    }
  }
  return smoothed;
}

/** How often each of the 256 levels occurs; where `among` is given, only where it equals `kind`. */
export function histogram(map, among = null, kind = 0) {
  const counts = new Float64Array(256);
  for (let i = 0; i < map.length; i++) if (!among || among[i] === kind) counts[map[i]]++;
  return counts;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Otsu's threshold (1979): the level with the most variance between "at or below" and "above". */
export function otsu(counts) {
  const [pixels, levels] = [sum(counts), sum(counts.map((count, level) => count * level))];
  let [best, most] = [Math.max(0, counts.findIndex((count) => count > 0)), 0]; // where there is one level only
  let [below, sumBelow] = [0, 0];
  counts.forEach((count, level) => {
    below += count;
    sumBelow += count * level;
    const above = pixels - below;
    const apart = sumBelow / Math.max(below, 1) - (levels - sumBelow) / Math.max(above, 1);
    const between = below * above * apart ** 2;
    if (between > most) [most, best] = [between, level];
  });
  return best;
}

/** The level that `percent` percent of the pixels do not exceed. */
function percentile(counts, percent) {
  const rank = Math.floor((sum(counts) - 1) * (percent / 100));
  let level = 0;
  for (let seen = counts[0]; seen <= rank; seen += counts[level]) level++;
  return level;
}

/** The threshold of a map with these counts, in [0, 1]; a pixel above it is crack, none below `floor` ever. */
export function thresholdOf(counts, rule, value, floor) {
  let threshold = value;
  if (rule === "percentile") threshold = percentile(counts, value) / 255;
  if (rule === "otsu") threshold = otsu(counts) / 255;
  if (rule === "otsu_factor") threshold = (otsu(counts) / 255) * value;
  return Math.min(Math.max(threshold, floor), 1);
}

/** Where a map lies above a threshold. In float32, like Python, with room for levels that float32 rounds apart. */
export function above(map, threshold) {
  const level = Math.fround(Math.fround(Math.fround(threshold) * 255) + Math.fround(1e-3));
  return map.map((value) => (value > level ? 1 : 0));
}

/** Remove connected components (8 neighbors) that are smaller than a share of the picture. */
export function withoutSmall(mask, width, share) {
  if (!share) return mask;
  const kept = new Uint8Array(mask.length);
  const left = Uint8Array.from(mask);
  const sides = [-1, 0, 1];
  const around = sides.flatMap((y) => sides.map((x) => [y, x]));
  for (let start = 0; start < mask.length; start++) {
    if (!left[start]) continue;
    const component = [start];
    left[start] = 0;
    for (const at of component) {
      for (const [y, x] of around) {
        const next = at + y * width + x;
        const beside = (at % width) + x;
        if (!left[next] || beside < 0 || beside >= width) continue;
        left[next] = 0;
        component.push(next); // which lengthens this loop
      }
    }
    if (component.length >= share * mask.length) for (const at of component) kept[at] = 1;
  }
  return kept;
}

/** Pixels that are true and false positive, false and true negative. */
export function confusion(mask, truth) {
  const counts = [0, 0, 0, 0]; // by truth + 2 * mask
  for (let i = 0; i < mask.length; i++) counts[truth[i] + 2 * mask[i]]++;
  return { tp: counts[3], fp: counts[2], fn: counts[1], tn: counts[0] };
}

/** For each level, the counts where all above it is marked; given the levels of the background and of cracks. */
export function sweep([background, crack]) {
  let [tp, fp, fn, tn] = [sum(crack), sum(background), 0, 0];
  return Array.from(crack, (_, level) => {
    [tp, fn] = [tp - crack[level], fn + crack[level]];
    [fp, tn] = [fp - background[level], tn + background[level]];
    return { tp, fp, fn, tn };
  });
}

/** The five metrics in percent, NaN where one is undefined. */
export function metrics({ tp, fp, fn, tn }) {
  const share = (part, whole) => (whole ? (100 * part) / whole : NaN);
  return {
    precision: share(tp, tp + fp),
    recall: share(tp, tp + fn),
    accuracy: share(tp + tn, tp + fp + fn + tn),
    F1: share(2 * tp, 2 * tp + fp + fn),
    IoU: share(tp, tp + fp + fn),
  };
}
