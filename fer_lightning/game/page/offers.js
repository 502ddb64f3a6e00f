// When Bit offers something: after the same impression for a while, seldom, and seldomer still where nothing is taken.

const SURE = 0.5; // confidence from which a state counts
const FOR = 3000; // milliseconds that it must hold
const AGAIN = 60_000; // until the second offer; twice as long with each that is not taken
const AFTER_NO = 180_000;
const OFFERED = ["frustrated", "bored"];

export class Offers {
  #offer;
  #kind = null;
  #since = 0;
  #until = 0; // nothing is offered before
  #wait = AGAIN;

  // offer(kind): make one.
  constructor(offer) {
    this.#offer = offer;
  }

  // A new word of the server on how it goes.
  look({ state, confidence }, now = performance.now()) {
    const kind = OFFERED.includes(state) && confidence >= SURE ? state : null;
    if (kind !== this.#kind) this.#since = now;
    this.#kind = kind;
    if (!kind || now - this.#since < FOR || now < this.#until) return;
    this.#until = now + this.#wait;
    this.#wait *= 2;
    this.#offer(kind);
  }

  take() {
    this.#wait = AGAIN;
  }

  decline(now = performance.now()) {
    this.#until = Math.max(this.#until, now + AFTER_NO);
  }
}
