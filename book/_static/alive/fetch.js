/** Fetch a file; one packed with gzip is unpacked, also where the server has done so already. */
export async function unpack(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const RUNTIME = new URL("../vendor/onnxruntime/", import.meta.url).href;

/** The address of a file beside this one. */
export const beside = (name) => new URL(name, import.meta.url).href;

export const json = async (name) => (await fetch(beside(name))).json();

/** Load ONNX Runtime Web and a network: a function from { name: [numbers, shape] } to the result's numbers. */
export async function load(name) {
  const ort = await import(`${RUNTIME}ort.wasm.min.mjs`);
  ort.env.wasm.numThreads = 1; // more would need headers that a plain file server does not send
  ort.env.wasm.wasmPaths = { mjs: `${RUNTIME}ort-wasm-simd-threaded.mjs` };
  ort.env.wasm.wasmBinary = await unpack(`${RUNTIME}ort-wasm-simd-threaded.wasm.gz`);
  const session = await ort.InferenceSession.create(await unpack(beside(name)));
  return async (given) => {
    const tensor = ([name, [numbers, shape]]) => [name, new ort.Tensor("float32", numbers, shape)];
    const results = await session.run(Object.fromEntries(Object.entries(given).map(tensor)));
    return results[session.outputNames[0]].data;
  };
}

/** Arrays by name, from a file that holds one after the other. */
export async function loadArrays(name, shapes) {
  const packed = await unpack(beside(name));
  let from = 0;
  const parts = Object.entries(shapes).map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b);
    return [name, packed.subarray(from, (from += size))];
  });
  return Object.fromEntries(parts);
}
