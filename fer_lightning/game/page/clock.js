// Seconds for which a task has been visible; time in a hidden tab does not count.

export class Clock {
  #before = 0; // milliseconds until the last stop
  #since = null;
  #stopped = false;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#run());
  }

  restart() {
    this.#before = 0;
    this.#since = null;
    this.go();
  }

  go() {
    this.#stopped = false;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#run();
  }

  seconds() {
    return (this.#before + (this.#since === null ? 0 : performance.now() - this.#since)) / 1000;
  }

  #run() {
    const runs = !this.#stopped && !document.hidden;
    if (runs === (this.#since !== null)) return;
    if (!runs) this.#before = this.seconds() * 1000;
    this.#since = runs ? performance.now() : null;
  }
}
