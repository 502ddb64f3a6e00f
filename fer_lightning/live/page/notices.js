// Notices of the server and of the page at the top; each code is shown once.

import { element } from "/shared/elements.js";

const SECONDS = 15; // seconds after which a notice disappears unless it comes again
const STAYING = new Set(["server_away", "model_replaced", "camera_lost"]);

export class Notices {
  #place;
  #shown = new Map();

  constructor(place) {
    this.#place = place;
  }

  // {level, code, message}: see the protocol; action: a button {words, act} instead of Dismiss.
  show({ level, code, message }, action = null) {
    const known = this.#shown.get(code);
    if (known) {
      if (known.words.textContent !== message) known.words.textContent = message;
      clearTimeout(known.timer);
    }
    const { bar, words } = known ?? this.#make(code, level, message, action);
    const stays = level === "error" || STAYING.has(code);
    const timer = stays ? 0 : setTimeout(() => this.drop(code), SECONDS * 1000);
    this.#shown.set(code, { bar, words, timer });
  }

  drop(code) {
    const known = this.#shown.get(code);
    if (!known) return;
    clearTimeout(known.timer);
    known.bar.remove();
    this.#shown.delete(code);
  }

  clear() {
    for (const code of [...this.#shown.keys()]) this.drop(code);
  }

  #make(code, level, message, action) {
    const words = element("p", { textContent: message });
    const button = element("button", { type: "button", textContent: action ? action.words : "Dismiss" });
    button.addEventListener("click", () => (action ? action.act() : this.drop(code)));
    const bar = element("div", { className: level === "info" ? "notice info" : "notice" }, words, button);
    bar.dataset.code = code;
    this.#place.append(bar);
    return { bar, words };
  }
}
