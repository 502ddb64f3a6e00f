// Views of a face, such as itself and its mirror image, whose probabilities are averaged. The network of a page that
// follows a face sees one of them in each image, by turns, because each takes as long: fer_lightning/faces/views.py.

const ALL = [0, 100]; // first view, and the one after the last; a file has fewer
const LONGEST = 150; // milliseconds between two images whose views are averaged

export class Views {
  #last = null; // {time, rows: latest probabilities of each view, next: view of the next image}

  // Returns {views, earlier, rows}: the views to compute, the probabilities of the other views from the images before,
  // and those of all views. follows: whether the only face is that of the image before; time: milliseconds.
  choose(follows, time) {
    const last = follows && this.#last && time - this.#last.time < LONGEST ? this.#last : null;
    if (!last) return { views: ALL, earlier: [], rows: [] };
    const { rows, next } = last;
    return { views: [next, next + 1], earlier: rows.filter((_, view) => view !== next).flat(), rows };
  }

  // chosen: what `choose` returned; seen: the probabilities of each of its views for one face; null if there is not
  // exactly one face.
  keep({ views: [first], rows }, seen, time) {
    if (!seen) return void (this.#last = null);
    const latest = rows.length ? rows.with(first, seen[0]) : seen;
    this.#last = { time, rows: latest, next: (first + seen.length) % latest.length };
  }
}
