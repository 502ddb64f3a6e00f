// One frame on its way at a time: the next leaves when the last was answered, and not more often than asked for.

const PATIENCE = 1000; // milliseconds until a frame without an answer is given up

export class Sender {
  #take;
  #send;
  #interval;
  #timer = 0;
  #running = false;
  #round = 0; // a picture that was taken before a stop is not sent after it
  #waiting = null; // the frame that has not been answered
  #taken = -Infinity; // when the last picture was

  // take() -> Promise of a Blob or null; send(blob): its number, 0 where it did not go; perSecond: at most so many frames.
  constructor({ take, send, perSecond }) {
    this.#take = take;
    this.#send = send;
    this.#interval = 1000 / perSecond;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#waiting = null;
    this.#next();
  }

  stop() {
    this.#running = false;
    this.#round += 1;
    clearTimeout(this.#timer);
  }

  // The answer to a frame: milliseconds since the picture was taken, or null where it had been given up.
  answered(frame) {
    if (frame !== this.#waiting) return null;
    this.#waiting = null;
    if (this.#running) this.#schedule();
    return performance.now() - this.#taken;
  }

  #schedule() {
    clearTimeout(this.#timer);
    const wait = this.#waiting === null ? this.#interval : PATIENCE;
    this.#timer = setTimeout(() => this.#next(), Math.max(0, this.#taken + wait - performance.now()));
  }

  async #next() {
    const round = this.#round;
    this.#taken = performance.now();
    const picture = await this.#take();
    if (round !== this.#round) return;
    this.#waiting = (picture && this.#send(picture)) || null;
    this.#schedule();
  }
}
