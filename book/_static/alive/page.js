/** What the pages that move share: controls with names, panels with pictures, files to fetch, copy and save. */

/** An element with attributes (functions become listeners) and children (elements or text). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

let controls = 0;

/** A labeled control: `show(text)` sets what stands after the label. */
function labeled(label, input) {
  input.id = `alive-${++controls}`;
  const shown = element("output", { for: input.id });
  const root = element("div", { class: "alive-control" }, element("label", { for: input.id }, label), shown, input);
  return { root, input, show: (text) => (shown.textContent = text) };
}

/** A slider; `value` reads and sets it, within its range. */
export function slider(label, { min, max, step, value, unit = "" }, changed) {
  const input = element("input", { type: "range", min, max, step, value, input: () => (update(), changed()) });
  const control = labeled(label, input);
  const decimals = step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const update = () => {
    const text = `${Number(input.value).toFixed(decimals)}${unit}`;
    control.show(text);
    input.setAttribute("aria-valuetext", text);
  };
  update();
  return {
    ...control,
    get value() {
      return Number(input.value);
    },
    set value(given) {
      input.value = given;
      update();
    },
  };
}

/** A list to choose from; options: pairs of value and text. `value` is set where the list has it. */
export function choice(label, options, changed) {
  const entries = options.map(([value, text]) => element("option", { value }, text));
  const input = element("select", { change: () => changed() }, ...entries);
  return {
    ...labeled(label, input),
    get value() {
      return input.value;
    },
    set value(given) {
      if ([...input.options].some((option) => option.value === String(given))) input.value = given;
    },
  };
}

/** A button. */
export function button(text, pressed) {
  return element("button", { type: "button", class: "alive-button", click: pressed }, text);
}

/** A picture under a title; `draw(pixels, height, width, title, said)` fills it, `said` tells what it shows. */
export function panel(title) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const caption = element("figcaption", {}, title);
  const draw = (pixels, height, width, text = title, said = text) => {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    caption.textContent = text;
    canvas.setAttribute("aria-label", said);
  };
  return { root: element("figure", { class: "alive-panel" }, caption, canvas), canvas, draw };
}

/** Copy a text, and say so on the line `said`; where copying is not allowed, show the text to copy by hand. */
export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "Copied.";
  } catch {
    said.replaceChildren("Copy this:", element("pre", {}, text));
  }
}

/** Let the browser save a blob as a file. */
export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Red, green and blue of `upcrack_lite/images.py`, 0 to 255. */
export const COLORS = {
  tp: [0x5f, 0xe0, 0x6b],
  fp: [0x1d, 0x2f, 0xa6],
  fn: [0xe0, 0x26, 0x3c],
  detected: [0xff, 0x95, 0x00],
};

/** Pixels for a canvas from `color(i)`, which gives red, green and blue of pixel i. */
export function painted(count, color) {
  const pixels = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    const [red, green, blue] = color(i);
    pixels[4 * i] = red;
    pixels[4 * i + 1] = green;
    pixels[4 * i + 2] = blue;
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}

/** The page's text where nothing moves, such as a still picture, goes when `start` has come to its end. */
export async function begin(root, start) {
  try {
    await start();
    for (const still of document.querySelectorAll(".alive-still")) still.hidden = true;
  } catch (error) {
    root.replaceChildren(element("p", { role: "alert" }, `This part did not start: ${error.message}`));
    throw error;
  }
}
