// The robot Bit: its moods, and the conversation with the player.

import { element } from "/shared/elements.js";

const MOST_LINES = 80; // maximum number of lines of the conversation on the page
const TALKS = 1300; // milliseconds for which the mouth moves
const CHEERS = 2600; // milliseconds of a short mood
const BLINKS = [2500, 6500]; // minimum and maximum milliseconds between two blinks
const BLINK = 140; // milliseconds of a blink

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

  // Sets the permanent mood: calm, gentle, bright, asleep or lost.
  rest(mood) {
    if (mood === this.#resting) return;
    this.#resting = mood;
    clearTimeout(this.#mood);
    this.#figure.dataset.mood = mood;
  }

  // Shows a short mood: cheer, puzzled, thinking or wave.
  feel(mood, milliseconds = CHEERS) {
    clearTimeout(this.#mood);
    this.#figure.dataset.mood = mood;
    this.#mood = setTimeout(() => (this.#figure.dataset.mood = this.#resting), milliseconds);
  }

  // Opens or closes the lens on Bit's head.
  watch(on) {
    this.#figure.dataset.watching = String(on);
  }

  // Bit says something. badge: a short text above it; offers: [{words, take()}], of which the player may accept one.
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

  // Removes all offers.
  withdraw() {
    for (const row of this.#log.querySelectorAll(".offers")) row.remove();
  }

  // Shows what the player has typed.
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
    // If a line is taller than the visible area, show its beginning.
    this.#scroller.scrollTop = Math.min(this.#scroller.scrollHeight, line.offsetTop - this.#log.offsetTop);
  }
}
