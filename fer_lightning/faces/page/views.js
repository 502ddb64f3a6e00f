// Views of a face: itself and its mirror image, whose probabilities are averaged. The network of a page that follows a
// face sees one of them in each image, by turns, because each takes as long as the other: fer_lightning/faces/views.py.

const BOTH = [0, 2];
const LONGEST = 150; // milliseconds between two images whose views are averaged

export class Views {
  #last = null; // {time, other: views of the next image, probabilities: of the views of this one}

  // Returns {views, earlier}: the views to compute, and the probabilities of the view of the image before.
  // follows: whether the only face is that of the image before; time: milliseconds.
  choose(follows, time) {
    const last = follows && this.#last && time - this.#last.time < LONGEST ? this.#last : null;
    return last ? { views: last.other, earlier: last.probabilities } : { views: BOTH, earlier: [] };
  }

  // probabilities: of the last of `views` for one face; null if there is not exactly one.
  keep(views, probabilities, time) {
    this.#last = probabilities && { time, other: views[1] === 2 ? [0, 1] : [1, 2], probabilities };
  }
}
