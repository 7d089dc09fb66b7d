/** The charts of the tuner, as SVG in the theme's colors: a histogram, and precision over recall. */

const [LEFT, RIGHT, FLOOR, TOP, WIDTH, HEIGHT] = [40, 384, 160, 24, 400, 200];

function shape(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

const words = (x, y, text, anchor = "middle") => shape("text", { x, y, "text-anchor": anchor }, text);

/** A chart without data: grid lines and places along the axis, as pairs of where and text; names stand below. */
function frame(said, lines, places, names) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said });
  for (const [y, text] of lines) {
    svg.append(shape("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, class: "grid" }));
    svg.append(words(LEFT - 4, y + 4, text, "end"));
  }
  svg.append(shape("line", { x1: LEFT, x2: RIGHT, y1: FLOOR, y2: FLOOR, class: "axis" }));
  for (const [x, text] of places) svg.append(words(x, FLOOR + 16, text));
  svg.append(words((LEFT + RIGHT) / 2, HEIGHT - 6, names));
  return svg;
}

/** levels: 256 counts of the background, 256 of cracks; threshold in [0, 1]. The axis of counts is logarithmic. */
export function drawHistogram(chart, levels, threshold) {
  const end = 1 + Math.max(1, levels[0].findLastIndex((count, level) => count || levels[1][level])); // of the axis
  const decades = Math.ceil(Math.log10(Math.max(2, ...levels[0], ...levels[1])));
  const x = (level) => LEFT + ((RIGHT - LEFT) * Math.min(level, end)) / end;
  const y = (height) => FLOOR - ((FLOOR - TOP) * height) / (decades + 0.3); // one pixel stands 0.3 decades high
  const above = levels.map((counts) => counts.reduce((sum, n, level) => sum + (level > 255 * threshold ? n : 0), 0));
  const title = `threshold ${threshold.toFixed(3)}`;
  const powers = [...Array(decades + 1).keys()];
  const svg = frame(
    `Histogram. ${title}: above it ${above[0]} pixels of background and ${above[1]} of crack.`,
    powers.map((power) => [y(power + 0.3), power < 3 ? 10 ** power : `${10 ** (power - 3)}k`]),
    [0, 1 / 3, 2 / 3, 1].map((share) => [x(share * end), ((share * end) / 255).toFixed(2)]),
    "smoothed; gray: background, red: crack",
  );
  levels.forEach((counts, kind) => {
    const corners = [`${LEFT},${FLOOR}`];
    counts.subarray(0, end).forEach((count, level) => {
      const height = y(count ? Math.log10(count) + 0.3 : 0);
      corners.push(`${x(level)},${height}`, `${x(level + 1)},${height}`);
    });
    corners.push(`${RIGHT},${FLOOR}`);
    svg.append(shape("polygon", { points: corners.join(" "), class: kind ? "crack" : "background" }));
  });
  const at = x(255 * threshold);
  svg.append(shape("line", { x1: at, x2: at, y1: TOP, y2: FLOOR, class: "threshold" }));
  const anchor = at > (LEFT + RIGHT) / 2 ? "end" : "start";
  svg.append(words(at, TOP - 6, title + (255 * threshold > end ? " →" : ""), anchor));
  chart.replaceChildren(svg);
  chart.dataset.end = end;
}

/** Precision over recall, in percent: a line through the metrics of all thresholds; marks: sign and metrics. */
export function drawCurve(chart, line, marks) {
  const x = (recall) => LEFT + ((RIGHT - LEFT) * recall) / 100;
  const y = (precision) => FLOOR - ((FLOOR - TOP) * precision) / 100;
  const known = ({ recall, precision }) => !Number.isNaN(recall + precision);
  const ticks = [0, 25, 50, 75, 100];
  const [, now] = marks[0];
  const said = known(now) ? `${now.recall.toFixed(1)} %, precision ${now.precision.toFixed(1)} %` : "undefined";
  const [lines, places] = [y, x].map((at) => ticks.map((tick) => [at(tick), tick]));
  const title = "precision over recall, %";
  const svg = frame(`Precision over recall. At this threshold: recall ${said}.`, lines, places, title);
  const points = line.filter(known).map(({ recall, precision }) => `${x(recall)},${y(precision)}`);
  svg.append(shape("polyline", { points: points.join(" "), class: "curve" }));
  for (const [sign, point] of marks.filter(([, point]) => known(point)).reverse()) {
    const mark = words(x(point.recall), y(point.precision) + 6, sign);
    mark.classList.add(point === now ? "now" : "mark");
    svg.append(mark);
  }
  chart.replaceChildren(svg);
}

/** Call `pressed` with where along a chart's axis a pointer is pressed or drawn, 0 to 1. */
export function onPress(chart, pressed) {
  const follow = (event) => {
    const box = chart.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (RIGHT - LEFT);
    if (event.buttons && share >= 0 && share <= 1) pressed(share);
  };
  for (const kind of ["pointerdown", "pointermove"]) chart.addEventListener(kind, follow);
}
