/** Computes beside the page, so that sliders stay smooth: from a recorded map and settings to mask and counts. */

import { above, bilateral, confusion, histogram, thresholdOf, withoutSmall } from "./pixels.js";

let road = null; // { map, truth, height, width }
let smoothed = null;
let made = ""; // with which filter

self.onmessage = ({ data }) => {
  if (data.road) {
    road = data.road;
    made = "";
  }
  const { filter, d, sigmaColor, sigmaSpace, rule, value, floor, area } = data.settings;
  const { map, truth, height, width } = road;
  const wanted = filter === "none" ? filter : `${d} ${sigmaColor} ${sigmaSpace}`;
  if (made !== wanted) {
    smoothed = filter === "none" ? map : bilateral(map, height, width, d, sigmaColor, sigmaSpace);
    made = wanted;
  }
  const threshold = thresholdOf(histogram(smoothed), rule, value, floor);
  const mask = withoutSmall(above(smoothed, threshold), width, area / 100);
  const levels = [histogram(smoothed, truth, 0), histogram(smoothed, truth, 1)]; // background, crack
  self.postMessage({ smoothed, threshold, mask, levels, counts: confusion(mask, truth) });
};
