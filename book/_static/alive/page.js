/** What the pages that move share: controls with names, panels with pictures, questions to a worker. */

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

/** A labeled control: `show(text)` sets what stands after the label; `read` makes its value of the input's text. */
export function labeled(label, input, read = (text) => text, show = () => "") {
  input.id = `alive-${++controls}`;
  const shown = element("output", { for: input.id });
  const update = () => {
    shown.textContent = show(input.value);
    if (shown.textContent) input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", update);
  update();
  return {
    root: element("div", { class: "alive-control" }, element("label", { for: input.id }, label), shown, input),
    input,
    get value() {
      return read(input.value);
    },
    set value(given) {
      const known = !input.options || [...input.options].some((option) => option.value === String(given));
      if (known) input.value = given;
      update();
    },
  };
}

/** A slider. */
export function slider(label, { min, max, step, value, unit = "" }, changed) {
  const decimals = step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const input = element("input", { type: "range", min, max, step, value, input: changed });
  return labeled(label, input, Number, (text) => `${Number(text).toFixed(decimals)}${unit}`);
}

/** A list to choose from; options: pairs of value and text, of which `offer` adds more. */
export function choice(label, options, changed) {
  const input = element("select", { change: changed });
  const offer = (more) => input.append(...Array.from(more, ([value, text]) => element("option", { value }, text)));
  offer(options);
  return Object.assign(labeled(label, input), { offer });
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

/** Let the browser save a blob as a file. */
export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Pixels for a canvas from `color(i)`, which gives red, green and blue of pixel i. */
export function painted(count, color) {
  const pixels = new Uint8ClampedArray(4 * count).fill(255);
  for (let i = 0; i < count; i++) pixels.set(color(i), 4 * i);
  return pixels;
}

/** Pixels of gray levels, of red, green and blue in turn, and of a map whose brightest of 256 colors means `top`. */
export const grays = (levels) => painted(levels.length, (i) => [levels[i], levels[i], levels[i]]);
export const colored = (rgb) => painted(rgb.length / 3, (i) => [rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]]);
export const hot = (map, top, colors) =>
  painted(map.length, (i) => colors[Math.min(255, Math.round((255 * map[i]) / top))]);

/** Returns what asks a worker: while it works, only the newest `wish()` is kept; beyond 0.1 s the page says so. */
export function asker(root, worker, wish, answered) {
  let [pending, again, asked] = [false, false, 0];
  const ask = () => {
    again = pending;
    root.dataset.settled = false;
    if (pending) return;
    [pending, asked] = [true, performance.now()];
    setTimeout(() => pending && root.setAttribute("aria-busy", "true"), 100);
    worker.postMessage(wish());
  };
  worker.onmessage = ({ data }) => {
    pending = false;
    root.removeAttribute("aria-busy");
    answered(data, !again);
    root.dataset.milliseconds = Math.round(performance.now() - asked);
    root.dataset.answers = Number(root.dataset.answers ?? 0) + 1;
    root.dataset.settled = !again;
    if (again) ask();
  };
  return ask;
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
