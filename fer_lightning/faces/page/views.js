// Views of a face, such as itself and its mirror image, whose probabilities are averaged. The network of a page that
// follows a face sees one of them in each image, by turns, because each takes as long: fer_lightning/faces/views.py.

import { overlap } from "./tracks.js";

const ALL = [0, 100]; // first view, and the one after the last; a file has fewer
const LONGEST = 250; // milliseconds from the end of one image to the next: a game looks five times per second
const LEAST_OVERLAP = 0.5; // of the boxes of a face in two images

export class Views {
  #last = null; // {box, time: its end, rows: latest probabilities of each view, next: view of the next image}

  // Returns {views, earlier, rows}: the views to compute, the probabilities of the other views from the images before,
  // and those of all views. boxes: of all faces; time: milliseconds, before the computation.
  choose(boxes, time) {
    const last = this.#last;
    const follows = last && boxes.length === 1 && time - last.time < LONGEST && overlap(boxes[0], last.box) > LEAST_OVERLAP;
    if (!follows) return { views: ALL, earlier: [], rows: [] };
    const { rows, next } = last;
    return { views: [next, next + 1], earlier: rows.filter((_, view) => view !== next).flat(), rows };
  }

  // chosen: what `choose` returned for these boxes; seen: the probabilities of each of its views, of each face in turn;
  // time: milliseconds, after the computation.
  keep({ views: [first], rows }, boxes, seen, time) {
    if (boxes.length !== 1) return void (this.#last = null);
    const latest = rows.length ? rows.map((row, view) => (view === first ? seen[0] : row)) : seen;
    this.#last = { box: boxes[0], time, rows: latest, next: (first + seen.length) % latest.length };
  }
}
