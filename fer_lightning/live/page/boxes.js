// Boxes over the image. Each shows the number of the face and its label, or the reason why the face does not count.

import { element } from "../shared/elements.js";
import { labelOf } from "../shared/label.js";
import { inkOn } from "./looks.js";

const RIGHT = 0.55; // left side of a box, in widths of the image, from which its label extends to the left

export class Boxes {
  #place;
  #shown = new Map();

  constructor(place) {
    this.#place = place;
  }

  // faces: faces of the server's message; colors: Map from class to colour; mirrored: true if the image is mirrored;
  // least: lowest share of a label.
  show(faces, colors, mirrored, least) {
    const ids = new Set(faces.map(({ id }) => id));
    for (const [id, { box }] of this.#shown) if (!ids.has(id)) this.#drop(id, box);
    for (const face of faces) this.#put(face, this.#shown.get(face.id) ?? this.#make(face.id), colors, mirrored, least);
  }

  #make(id) {
    const name = element("b", { textContent: id });
    const words = element("span");
    const box = element("div", { className: "box" }, element("p", {}, name, words));
    box.dataset.face = id;
    this.#place.append(box);
    const made = { box, words };
    this.#shown.set(id, made);
    return made;
  }

  #drop(id, box) {
    box.remove();
    this.#shown.delete(id);
  }

  #put({ box: [x, y, width, height], doubt, smoothed }, { box, words }, colors, mirrored, least) {
    const { name, sure, text } = labelOf(smoothed, least);
    const color = doubt ? "#d9dde2" : sure ? colors.get(name) : "#ffffff";
    const place = { left: mirrored ? 1 - x - width : x, top: y, width, height };
    for (const [side, value] of Object.entries(place)) box.style.setProperty(side, `${100 * value}%`);
    box.style.setProperty("--c", color);
    box.style.setProperty("--on-c", inkOn(color));
    box.classList.toggle("doubtful", Boolean(doubt));
    box.classList.toggle("high", y < 0.08);
    box.classList.toggle("right", place.left > RIGHT);
    words.textContent = doubt ? doubt : text;
  }
}
