/** UP-CrackNet's G beside the page: what it gets in, its restoration out. Loaded at the first question. */

import { load } from "./fetch.js";

let network = null; // a promise of how to run it

self.onmessage = ({ data: { masked, side, own } }) => {
  network ??= load("upcracknet.onnx");
  const inputs = { masked: [masked, [1, 3, side, side]], own: [Float32Array.of(own), [1]] };
  const restored = network.then((run) => run(inputs)).then((numbers) => ({ restored: numbers }));
  restored.catch((error) => ({ error: String(error.message ?? error) })).then((answer) => self.postMessage(answer));
};
