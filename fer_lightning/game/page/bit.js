// Bit, who hangs the lamps: a face with moods, and what is said.

import { element } from "/shared/elements.js";

const MOST_LINES = 80; // of the talk that stays on the page
const TALKS = 1300; // milliseconds that the mouth moves
const CHEERS = 2600;
const BLINKS = [2500, 6500]; // milliseconds between two, at least and at most
const BLINK = 140;

export class Bit {
  #figure;
  #log;
  #scroller;
  #resting = "";
  #mood = 0;
  #talk = 0;

  constructor(figure, log) {
    this.#figure = figure;
    this.#log = log;
    this.#scroller = log.parentElement;
    this.rest("calm");
    this.#blink();
  }

  // The mood that stays: calm, gentle, bright, asleep or lost.
  rest(mood) {
    if (mood === this.#resting) return;
    this.#resting = mood;
    clearTimeout(this.#mood);
    this.#figure.dataset.mood = mood;
  }

  // A mood for a moment: cheer, puzzled, thinking or wave.
  feel(mood, milliseconds = CHEERS) {
    clearTimeout(this.#mood);
    this.#figure.dataset.mood = mood;
    this.#mood = setTimeout(() => (this.#figure.dataset.mood = this.#resting), milliseconds);
  }

  // Whether the lens on Bit's head is open.
  watch(on) {
    this.#figure.dataset.watching = String(on);
  }

  // `badge`: a few words before it; `offers`: [{words, take()}], of which the player may take one.
  say(words, { badge = null, offers = [] } = {}) {
    const line = element("li", { className: "from-bit" });
    if (badge) line.append(element("span", { className: "badge", textContent: badge }));
    line.append(element("p", { textContent: words }));
    if (offers.length) {
      this.withdraw();
      line.append(this.#offers(offers));
    }
    this.#append(line);
    this.#figure.dataset.talking = "true";
    clearTimeout(this.#talk);
    this.#talk = setTimeout(() => delete this.#figure.dataset.talking, TALKS);
  }

  // What was offered is offered no longer.
  withdraw() {
    for (const row of this.#log.querySelectorAll(".offers")) row.remove();
  }

  // What the player has typed.
  hear(words) {
    this.#append(element("li", { className: "from-player" }, element("p", { textContent: words })));
  }

  #offers(offers) {
    const buttons = offers.map(({ words, take }) => {
      const button = element("button", { type: "button", textContent: words });
      button.addEventListener("click", () => {
        this.withdraw();
        take();
      });
      return button;
    });
    return element("div", { className: "offers" }, ...buttons);
  }

  #blink() {
    const [least, most] = BLINKS;
    setTimeout(() => {
      this.#figure.dataset.blinking = "";
      setTimeout(() => delete this.#figure.dataset.blinking, BLINK);
      this.#blink();
    }, least + (most - least) * Math.random());
  }

  #append(line) {
    this.#log.append(line);
    while (this.#log.children.length > MOST_LINES) this.#log.firstChild.remove();
    // Of a line that is higher than its place the beginning is shown.
    this.#scroller.scrollTop = Math.min(this.#scroller.scrollHeight, line.offsetTop - this.#log.offsetTop);
  }
}
