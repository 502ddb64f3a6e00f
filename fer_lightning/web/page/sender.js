// Sends one frame at a time: the next one when the last one was answered, and at most `perSecond` frames per second.

const PATIENCE = 1000; // milliseconds after which a frame without an answer counts as lost

export class Sender {
  #take;
  #send;
  #interval;
  #timer = 0;
  #running = false;
  #round = 0; // increased by each stop, so that an image from before a stop is not sent after it
  #waiting = null; // number of the frame without an answer
  #taken = -Infinity; // time of the last image
  #sent = -Infinity; // time at which it was sent

  // take(): returns a Promise of a frame, or of null; send(frame): returns its number, 0 if it was not sent;
  // perSecond: maximum number of frames per second.
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

  // Records the answer to a frame. Returns the milliseconds since its image was taken, or null if it counted as lost.
  answered(frame) {
    if (frame !== this.#waiting) return null;
    this.#waiting = null;
    if (this.#running) this.#schedule();
    return performance.now() - this.#taken;
  }

  #schedule() {
    clearTimeout(this.#timer);
    const due = this.#waiting === null ? this.#taken + this.#interval : this.#sent + PATIENCE;
    this.#timer = setTimeout(() => this.#next(), Math.max(0, due - performance.now()));
  }

  async #next() {
    const round = this.#round;
    this.#waiting = null;
    this.#taken = performance.now();
    const image = await this.#take();
    if (round !== this.#round) return;
    this.#sent = performance.now();
    this.#waiting = (image && this.#send(image)) || null;
    this.#schedule();
  }
}
