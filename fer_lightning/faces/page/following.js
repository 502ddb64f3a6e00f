// Search of a stream of images. While it shows one face, only a window around the face's last box is searched.
//
// The window lies on the grid of YuNet's cells, so that the network sees the same input as in a whole search, except that
// the image ends at the window. The box therefore differs by a few pixels; docs/live.md has the measurements.

import { part } from "./pixels.js";
import { LONG_SIDES, MULTIPLE, SURE, enlarged, reduced, search, searchAt } from "./yunet.js";

const MARGIN = 0.25; // of the window around the box, in larger sides of the box
const LEAST_MARGIN = 16; // pixels

export class Following {
  #last = null; // {box, width, height, age} if the image before had one face; age: images since the last whole search

  // Returns {faces, whole}; whole: whether the whole image was searched. run, longSide: see yunet.js.
  // wholeEvery: number of images from one whole search to the next; 1: every search is whole.
  async search(run, image, longSide, wholeEvery) {
    const last = this.#last?.age < wholeEvery && sameSize(this.#last, image) ? this.#last : null;
    const seen = reduced(image, longSide);
    const face = last && (await searchAround(run, seen, last.box));
    const faces = face ? [face] : await search(run, seen);
    const { width, height } = image;
    this.#last = faces.length === 1 ? { box: faces[0].box, width, height, age: face ? last.age + 1 : 1 } : null;
    return { faces: enlarged(faces, image, seen), whole: !face };
  }
}

function sameSize(one, other) {
  return one.width === other.width && one.height === other.height;
}

// Returns the only face in a window around a box, or null if it is not sure without a whole search.
async function searchAround(run, image, box) {
  if (Math.max(image.width, image.height) > LONG_SIDES[0]) return null; // a whole search begins with a smaller image
  const window = windowAround(box, image);
  const faces = await searchAt(run, part(image, window), 1);
  if (faces.length !== 1 || faces[0].score < SURE) return null;
  const [{ box: [x, y, ...sides], score }] = faces;
  const face = { box: [x + window.left, y + window.top, ...sides], score };
  return isFarInside(face.box, window, image) ? face : null;
}

function windowAround([x, y, width, height], image) {
  const margin = marginOf(width, height);
  const [left, right] = cells(x - margin, x + width + margin, image.width);
  const [top, bottom] = cells(y - margin, y + height + margin, image.height);
  return { left, top, width: right - left, height: bottom - top };
}

function marginOf(width, height) {
  return Math.max(LEAST_MARGIN, MARGIN * Math.max(width, height));
}

// Returns the pixels of the cells that contain an interval, within the image.
function cells(start, end, length) {
  return [Math.max(0, Math.floor(start / MULTIPLE) * MULTIPLE), Math.min(length, Math.ceil(end / MULTIPLE) * MULTIPLE)];
}

// The face has moved by less than half of the margin, or the window ends with the image.
function isFarInside([x, y, width, height], { left, top, ...sides }, image) {
  const least = marginOf(width, height) / 2;
  const isFar = (start, end, from, to, length) => (from === 0 || start - from >= least) && (to === length || to - end >= least);
  return isFar(x, x + width, left, left + sides.width, image.width) && isFar(y, y + height, top, top + sides.height, image.height);
}
