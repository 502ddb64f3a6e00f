// The face detector YuNet, with the same boxes as fer_lightning/faces/detector.py and OpenCV's FaceDetectorYN.
//
// The network gives for each cell of three grids (8, 16 and 32 pixels wide) the logarithms of a box's sides, its centre
// and two scores. A face is a cell whose score, the geometric mean of both, is high enough, and which no better face
// overlaps.

import { resized, roundEven } from "./pixels.js";
import { overlap } from "./tracks.js";

export const LONG_SIDES = [640, 320, 1280]; // sizes at which an image is searched; the next one only if no face is sure
const LEAST_SIDE = 64;
export const SURE = 0.8; // lowest score of a face after which no other size is searched
const WEAKEST = 0.5; // lowest score of a detection that counts as a face
const OVERLAP = 0.3; // lowest intersection over union at which two detections are one face
const STRIDES = [8, 16, 32];
export const MULTIPLE = 32; // the network's input has sides that are multiples of this

// longSide: pixels of the longer side to which an image is reduced before the search; null: it is not reduced.
export function reduced(image, longSide) {
  const scale = longSide ? longSide / Math.max(image.width, image.height) : 1;
  return scale >= 1 ? image : scaled(image, scale);
}

// Returns the faces of the reduced image `seen` with boxes in pixels of the image.
export function enlarged(faces, image, seen) {
  const [across, down] = [image.width / seen.width, image.height / seen.height];
  return faces.map(({ box: [x, y, width, height], score }) => ({ box: [across * x, down * y, across * width, down * height], score }));
}

function scaled(image, scale) {
  return resized(image, ...[image.width, image.height].map((side) => Math.max(1, roundEven(side * scale))));
}

// Returns all faces of an RGBA image as [{box: [x, y, width, height], score}], in pixels of the image.
// run(input): Promise of YuNet's outputs by name, for input {data: Float32Array, dims}.
export async function search(run, image) {
  let best = [];
  const scales = new Set(LONG_SIDES.map((side) => Math.min(1, side / Math.max(image.width, image.height))));
  for (const scale of scales) {
    const faces = await searchAt(run, image, scale);
    if (topScore(faces) > topScore(best)) best = faces;
    if (topScore(best) >= SURE) break;
  }
  return best;
}

function topScore(faces) {
  return Math.max(0, ...faces.map(({ score }) => score));
}

// The same at one size of the image.
export async function searchAt(run, image, scale) {
  const seen = scaled(image, scale);
  const input = blob(seen);
  const found = decode(await run(input), input.dims[3], input.dims[2]);
  const [across, down] = [Math.fround(image.width / seen.width), Math.fround(image.height / seen.height)];
  return suppress(found)
    .map(({ box: [x, y, width, height], score }) => ({ box: [x * across, y * down, width * across, height * down].map(Math.fround), score }))
    .filter((face) => possible(face, image));
}

// Returns the network's input, planes of B, G and R; black pixels fill it up at the right and below.
function blob({ width, height, data }) {
  const [columns, rows] = [width, height].map((side) => Math.ceil(Math.max(side, LEAST_SIDE) / MULTIPLE) * MULTIPLE);
  const plane = columns * rows;
  const planes = new Float32Array(3 * plane);
  for (let row = 0, at = 0; row < height; row++)
    for (let column = 0, to = row * columns; column < width; column++, at += 4, to++) {
      planes[to] = data[at + 2];
      planes[to + plane] = data[at + 1];
      planes[to + 2 * plane] = data[at];
    }
  return { data: planes, dims: [1, 3, rows, columns] };
}

// Returns the detections of the network's outputs, without suppression.
export function decode(outputs, columns, rows) {
  return STRIDES.flatMap((stride) => {
    const [classes, objects, boxes] = ["cls", "obj", "bbox"].map((name) => outputs[`${name}_${stride}`]);
    const [across, down] = [columns / stride, rows / stride];
    const faces = [];
    for (let cell = 0; cell < across * down; cell++) {
      const score = Math.fround(Math.sqrt(share(classes[cell]) * share(objects[cell])));
      if (score < WEAKEST) continue;
      const [x, y, width, height] = boxes.subarray(4 * cell, 4 * cell + 4);
      const sides = [Math.exp(width) * stride, Math.exp(height) * stride];
      const centre = [((cell % across) + x) * stride, (Math.floor(cell / across) + y) * stride];
      faces.push({ box: [centre[0] - sides[0] / 2, centre[1] - sides[1] / 2, ...sides].map(Math.fround), score });
    }
    return faces;
  });
}

function share(value) {
  return Math.min(Math.max(value, 0), 1);
}

// Returns the detections that no better one overlaps, the best first. OpenCV compares boxes on whole pixels.
export function suppress(found) {
  const kept = [];
  for (const face of [...found].sort((one, other) => other.score - one.score)) {
    const box = face.box.map(Math.trunc);
    if (kept.every((other) => overlap(box, other.whole) <= OVERLAP)) kept.push({ ...face, whole: box });
  }
  return kept;
}

// A face has its centre in the image, and its crop does not need far more memory than the image.
function possible({ box: [x, y, width, height] }, image) {
  const [across, down] = [x + width / 2, y + height / 2];
  const inside = 0 <= across && across < image.width && 0 <= down && down < image.height;
  return inside && Math.max(width, height) <= 2 * Math.max(image.width, image.height);
}
