// Tracking of faces from frame to frame, only by position: the rules of fer_lightning/faces/tracks.py.

const REACH = 1; // largest move of a face's centre between two updates, in sides of the face
const RESIZE = 2; // largest factor by which its side may grow or shrink

export class Tracks {
  #keep;
  #smooth;
  #seen = new Map(); // id: {box, smoothed, now}
  #last = 0;

  // keep: seconds after which the track of a face that is not visible ends; smooth: time constant of the average.
  constructor(keep = 1, smooth = 1) {
    [this.#keep, this.#smooth] = [keep, smooth];
  }

  // Returns {id, smoothed} of each face {box, probabilities}, in their order. now: seconds.
  update(now, faces) {
    for (const [id, track] of this.#seen) if (Math.abs(now - track.now) > this.#keep) this.#seen.delete(id);
    const known = matched(this.#seen, faces);
    return faces.map(({ box, probabilities }, index) => {
      const id = known.get(index) ?? ++this.#last;
      const smoothed = this.#smoothed(this.#seen.get(id), now, probabilities);
      this.#seen.set(id, { box, smoothed, now });
      return { id, smoothed };
    });
  }

  #smoothed(track, now, fresh) {
    if (!track) return [...fresh];
    const share = this.#smooth ? 1 - Math.exp(-Math.max(0, now - track.now) / this.#smooth) : 1;
    return track.smoothed.map((value, index) => value + share * (fresh[index] - value));
  }
}

// Returns the id of each face that continues a track, by its index; the closest pairs match first.
function matched(seen, faces) {
  const pairs = [];
  for (const [id, { box }] of seen)
    faces.forEach((face, index) => {
      const near = closeness(box, face.box);
      if (near !== null) pairs.push({ near, id, index });
    });
  const ids = new Map();
  const taken = new Set();
  for (const { id, index } of pairs.sort((one, other) => other.near - one.near)) {
    if (ids.has(index) || taken.has(id)) continue;
    ids.set(index, id);
    taken.add(id);
  }
  return ids;
}

// Returns the overlap minus the distance of the centres in sides of the face; null for different faces.
function closeness(one, other) {
  const sides = [one, other].map(([, , width, height]) => Math.sqrt(Math.max(0, width * height)));
  const side = (sides[0] + sides[1]) / 2;
  const distance = Math.hypot(one[0] + one[2] / 2 - other[0] - other[2] / 2, one[1] + one[3] / 2 - other[1] - other[3] / 2);
  const apart = Math.min(...sides) <= 0 || distance > REACH * side || Math.max(...sides) > RESIZE * Math.min(...sides);
  return apart ? null : overlap(one, other) - distance / side;
}

// Returns intersection over union, 0 to 1.
export function overlap(one, other) {
  const [across, down] = [0, 1].map((side) =>
    Math.max(0, Math.min(one[side] + one[side + 2], other[side] + other[side + 2]) - Math.max(one[side], other[side])),
  );
  const union = one[2] * one[3] + other[2] * other[3] - across * down;
  return union > 0 ? (across * down) / union : 0;
}
