/** A histogram of the smoothed map, background and crack apart, with the threshold: an SVG in the theme's colors. */

const [LEFT, RIGHT, FLOOR, TOP, WIDTH, HEIGHT] = [34, 240, 214, 26, 256, 250];const BARS = 48;

const NAMESPACE = "http://www.w3.org/2000/svg";

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** levels: 256 counts of the background, 256 of cracks; threshold in [0, 1]. The axis of counts is logarithmic. */
export function drawHistogram(chart, levels, threshold) {
  let last = 255;
  while (last > 1 && !levels[0][last] && !levels[1][last]) last--;
  const step = Math.ceil((last + 1) / BARS);
  const bars = levels.map((counts) => {
    const sums = Array(Math.ceil((last + 1) / step)).fill(0);
    for (let level = 0; level <= last; level++) sums[Math.floor(level / step)] += counts[level];
    return sums;
  });
  const end = bars[0].length * step; // levels at the axis's right end
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(2, ...bars.flat()))));
  const x = (level) => LEFT + ((RIGHT - LEFT) * Math.min(level, end)) / end;
  const y = (height) => FLOOR - ((FLOOR - TOP) * height) / (decades + 0.3); // one pixel stands 0.3 decades high
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const above = levels.map((counts) => counts.reduce((sum, n, level) => sum + (level > 255 * threshold ? n : 0), 0));
  const words = `threshold ${threshold.toFixed(3)}`;
  const said = `Histogram. ${words}: above it ${above[0]} pixels of background and ${above[1]} of crack.`;
  svg.setAttribute("aria-label", said);
  for (let power = 0; power <= decades; power++) {
    const at = y(power + 0.3);
    svg.append(shape("line", { x1: LEFT, x2: RIGHT, y1: at, y2: at, class: "grid" }));
    const label = power < 3 ? 10 ** power : `${10 ** (power - 3)}k`;
    svg.append(shape("text", { x: LEFT - 4, y: at + 4, "text-anchor": "end" }, label));
  }
  bars.forEach((counts, kind) => {
    const corners = [`${LEFT},${FLOOR}`];
    counts.forEach((count, i) => {
      const height = y(count ? Math.log10(count) + 0.3 : 0);
      corners.push(`${x(i * step)},${height}`, `${x((i + 1) * step)},${height}`);
    });
    corners.push(`${RIGHT},${FLOOR}`);
    svg.append(shape("polygon", { points: corners.join(" "), class: kind ? "crack" : "background" }));
  });
  svg.append(shape("line", { x1: LEFT, x2: RIGHT, y1: FLOOR, y2: FLOOR, class: "axis" }));
  for (const share of [0, 1 / 3, 2 / 3, 1]) {
    const label = ((share * end) / 255).toFixed(2);
    svg.append(shape("text", { x: x(share * end), y: FLOOR + 14, "text-anchor": "middle" }, label));
  }
  const at = x(255 * threshold);
  svg.append(shape("line", { x1: at, x2: at, y1: TOP, y2: FLOOR, class: "threshold" }));
  const anchor = at > (LEFT + RIGHT) / 2 ? "end" : "start";
  const beyond = 255 * threshold > end ? " →" : "";
  svg.append(shape("text", { x: at, y: TOP - 6, "text-anchor": anchor }, words + beyond));
  const names = "smoothed; gray: background, red: crack";
  svg.append(shape("text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, names));
  chart.replaceChildren(svg);
  chart.dataset.end = end;
}

/** The threshold under a pointer, in [0, 1]; null beside the axis. */
export function thresholdAt(chart, clientX) {
  const box = chart.querySelector("svg")?.getBoundingClientRect();
  if (!box) return null;
  const share = (((clientX - box.left) / box.width) * WIDTH - LEFT) / (RIGHT - LEFT);
  if (share < 0 || share > 1) return null;
  return Math.round(((share * Number(chart.dataset.end)) / 255) * 500) / 500;
}
