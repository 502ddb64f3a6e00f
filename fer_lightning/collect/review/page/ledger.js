// Current decisions, computed from the events by the same rules as in fer_lightning/collect/review/decisions.py.

export class Ledger {
  #annotator;
  #seen = new Set();
  #ofFace = new Map();
  #own = [];

  constructor(annotator) {
    this.#annotator = annotator;
  }

  // Add an event; adding it again changes nothing.
  add(event) {
    if (this.#seen.has(event.event)) return;
    this.#seen.add(event.event);
    if (event.action === "undo") return this.#takeBack(event);
    if (!this.#ofFace.has(event.face)) this.#ofFace.set(event.face, []);
    insert(this.#ofFace.get(event.face), event);
    if (event.annotator === this.#annotator) insert(this.#own, event);
  }

  #takeBack({ face, undoes }) {
    const others = (event) => event.event !== undoes;
    this.#ofFace.set(face, (this.#ofFace.get(face) ?? []).filter(others));
    if (this.#own.at(-1)?.event === undoes) this.#own.pop();
    else this.#own = this.#own.filter(others);
  }

  // Return the latest decision that is not undone, or undefined.
  current(face) {
    return this.#ofFace.get(face)?.at(-1);
  }

  // Return the latest decision of this annotator that is not undone, or undefined.
  own(face) {
    return this.#ofFace.get(face)?.findLast((event) => event.annotator === this.#annotator);
  }

  // Return the decisions of this annotator's last key press, the latest first.
  lastKey() {
    const time = this.#own.at(-1)?.time;
    const first = this.#own.findLastIndex((event) => event.time !== time);
    return this.#own.slice(first + 1).reverse();
  }
}

// Insert by decision time; events of the same time keep their order of arrival.
function insert(events, event) {
  const before = events.findLastIndex(({ time }) => time <= event.time);
  events.splice(before + 1, 0, event);
}

// Return the outcome: the label of an accepted face, otherwise the action.
export function outcome(decision) {
  return decision.label ?? decision.action;
}
