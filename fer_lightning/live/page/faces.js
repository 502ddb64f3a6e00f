// A card for each face: its number, its label or the reason why it does not count, and the probability of every class.

import { bar, element, percent } from "../shared/elements.js";
import { labelOf } from "../shared/label.js";
import { bySize } from "./looks.js";

const MOST = 4; // maximum number of cards; further faces are only counted

export class Faces {
  #list;
  #more;
  #shown = new Map();

  constructor(list, more) {
    this.#list = list;
    this.#more = more;
  }

  // Shows the largest faces in the order of their numbers, so that each card keeps its position.
  // least: lowest share of a label.
  show(faces, classes, least) {
    const first = bySize(faces).slice(0, MOST).sort((one, other) => one.id - other.id);
    const ids = new Set(first.map(({ id }) => id));
    for (const [id, { card }] of this.#shown) if (!ids.has(id)) this.#drop(id, card);
    for (const face of first) this.#put(face, this.#shown.get(face.id) ?? this.#make(face.id, classes), least);
    const others = faces.length - first.length;
    this.#more.hidden = others === 0;
    this.#more.textContent = `and ${others} more in the image`;
  }

  #make(id, classes) {
    const words = element("span", { className: "words" });
    const rows = classes.map(({ name, color }) => row(name, color));
    const shares = element("ul", { className: "shares" }, ...rows.map(({ item }) => item));
    const card = element("li", {}, element("h3", {}, element("b", { textContent: `Face ${id}` }), words), shares);
    card.dataset.face = id;
    const made = { card, words, rows };
    this.#shown.set(id, made);
    const after = [...this.#list.children].find(({ dataset }) => Number(dataset.face) > id);
    this.#list.insertBefore(card, after ?? null);
    return made;
  }

  #drop(id, card) {
    card.remove();
    this.#shown.delete(id);
  }

  #put({ doubt, probabilities, smoothed }, { card, words, rows }, least) {
    const { name, sure, text } = labelOf(smoothed, least);
    card.classList.toggle("doubtful", Boolean(doubt));
    words.textContent = doubt ? `does not count: ${doubt}` : text;
    for (const { item, track, number, name: of } of rows) {
      track.style.setProperty("--share", smoothed[of]);
      track.style.setProperty("--mark", probabilities[of]);
      number.textContent = percent(smoothed[of]);
      item.classList.toggle("best", of === name && sure && !doubt);
    }
  }
}

function row(name, color) {
  const track = bar(0, color);
  track.classList.add("marked");
  const number = element("span", { className: "numbers" });
  const item = element("li", {}, element("span", { textContent: name }), track, number);
  item.dataset.class = name;
  return { item, track, number, name };
}
