// Worker that finds and labels faces, so that the page stays responsive and no image leaves it. See reader.js.

import * as ort from "../runtime/ort.wasm.bundle.min.js";
import { Following } from "./following.js";
import { SIDE, cropFace } from "./pixels.js";
import { sufficient } from "./quality.js";
import { Views } from "./views.js";

const RUNTIME = new URL("../runtime/ort-wasm-simd-threaded.wasm", import.meta.url);
let sessions = null; // {detector, model}
let settings = null;
const following = new Following();
const views = new Views();

const TASKS = { open, read };

addEventListener("message", async ({ data: { number, task, words } }) => {
  try {
    postMessage({ number, answer: await TASKS[task](words) });
  } catch (error) {
    postMessage({ number, problem: String(error?.message ?? error) });
  }
});

async function open({ detector, model, ...others }) {
  settings = others;
  const [runtime, ...files] = await Promise.all([RUNTIME, detector, model].map(load));
  Object.assign(ort.env.wasm, { wasmBinary: runtime, numThreads: 1 });
  ort.env.logLevel = "error";
  const [first, second] = [await ort.InferenceSession.create(files[0]), await ort.InferenceSession.create(files[1])];
  sessions = { detector: first, model: second };
}

async function load(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${new URL(address).pathname}: HTTP status ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

// Returns the faces of an RGBA image, the largest first: {faces: [{box, score, probabilities}], whole, views,
// milliseconds}. whole: whether the whole image was searched; views: number of views of each face that were computed.
async function read({ width, height, pixels, ...others }) {
  const image = { width, height, data: new Uint8ClampedArray(pixels) };
  const begun = performance.now();
  const { long_side, whole_every, most, ...rules } = { ...settings, ...others };
  const { faces: found, whole } = await following.search(runDetector, image, long_side, whole_every);
  const faces = sufficient(found, rules).slice(0, most);
  const detected = performance.now();
  const { rows, number } = await recognise(
    faces.map(({ box }) => cropFace(image, box)),
    whole_every > 1 ? faces.map(({ box }) => box) : [], // 1: photographs, which do not follow each other
    begun,
  );
  const milliseconds = { detect: detected - begun, recognise: performance.now() - detected };
  const labelled = faces.map((face, index) => ({ ...face, probabilities: rows[index] }));
  return { width, height, faces: labelled, whole, views: number, milliseconds };
}

async function runDetector({ data, dims }) {
  const outputs = await sessions.detector.run({ input: new ort.Tensor("float32", data, dims) });
  return Object.fromEntries(Object.entries(outputs).map(([name, { data: values }]) => [name, values]));
}

// Returns {rows, number}: the probabilities of each crop, and the number of views that were computed for them. boxes: of
// the crops, if the images follow each other; begun: when the work on the image began.
async function recognise(crops, boxes, begun) {
  if (!crops.length) return { rows: [], number: 0 };
  const chosen = views.choose(boxes, begun);
  const pixels = new Uint8Array(crops.length * SIDE * SIDE);
  crops.forEach((crop, index) => pixels.set(crop, index * SIDE * SIDE));
  const faces = new ort.Tensor("uint8", pixels, [crops.length, SIDE, SIDE, 1]);
  const { probabilities, seen } = await sessions.model.run({ faces, ...inputsOf(chosen) });
  const { data, dims } = probabilities;
  if (!data.every(Number.isFinite)) throw new Error("the model returned NaN or infinity");
  if (seen) views.keep(chosen, boxes, rowsOf(seen.data, dims[1]), performance.now());
  return { rows: rowsOf(data, dims[1]), number: seen ? seen.dims[0] : 1 };
}

function rowsOf(numbers, length) {
  return Array.from({ length: numbers.length / length }, (_, row) => [...numbers.subarray(row * length, (row + 1) * length)]);
}

function inputsOf({ views: bounds, earlier }) {
  if (!sessions.model.inputNames.includes("views")) return {};
  return {
    views: new ort.Tensor("int64", BigInt64Array.from(bounds, BigInt), [2]),
    earlier: new ort.Tensor("float32", Float32Array.from(earlier), [earlier.length]),
  };
}
