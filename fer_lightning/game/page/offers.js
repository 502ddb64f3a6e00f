// Times of Bit's offers: Bit offers something if a state lasts, and less often if the player does not accept.

const SURE = 0.5; // minimum confidence of a state
const FOR = 3000; // milliseconds for which the state must last
const AGAIN = 60_000; // milliseconds until the second offer; doubled after each offer that is not accepted
const AFTER_NO = 180_000; // minimum milliseconds until the next offer after a refusal
const OFFERED = ["frustrated", "bored"];

export class Offers {
  #offer;
  #kind = null;
  #since = 0;
  #until = 0; // time before which nothing is offered
  #wait = AGAIN;

  // offer(kind): called to make an offer.
  constructor(offer) {
    this.#offer = offer;
  }

  // Receives a new state from the server.
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
