// Latency and frames per second, over the last few answers.

import { element } from "/shared/elements.js";

const KEPT = 15; // number of last latencies whose median is shown
const SECONDS = 3; // seconds over which frames are counted
const PARTS = [["waiting", "waiting"], ["decode", "decoding"], ["detect", "detecting"], ["recognise", "recognising"]];

export class Meters {
  #latencies = [];
  #answers = [];
  #places;

  // places: elements {latency, parts, rate, dropped}
  constructor(places) {
    this.#places = places;
  }

  // latency: milliseconds from frame to answer; null: unknown. milliseconds, dropped: values of the answer.
  answered(latency, milliseconds, dropped) {
    this.#answers.push(performance.now());
    if (latency !== null) this.#latencies = [...this.#latencies, latency].slice(-KEPT);
    this.#places.parts.replaceChildren(...PARTS.map(([name, words]) => part(words, milliseconds[name])));
    this.#places.dropped.textContent = dropped.toLocaleString("en");
    this.show();
  }

  show() {
    const now = performance.now();
    this.#answers = this.#answers.filter((time) => now - time < SECONDS * 1000);
    const seen = this.#answers.length > 1;
    const rate = seen ? (1000 * (this.#answers.length - 1)) / (this.#answers.at(-1) - this.#answers[0]) : 0;
    this.#places.rate.textContent = seen ? rate.toFixed(1) : "–";
    this.#places.latency.textContent = seen && this.#latencies.length ? `${Math.round(median(this.#latencies))} ms` : "–";
    if (!seen) this.#places.parts.replaceChildren();
  }

  clear() {
    this.#answers = [];
    this.#latencies = [];
    this.show();
  }
}

function part(words, milliseconds) {
  return element("li", {}, element("span", { textContent: words }), element("span", { textContent: `${Math.round(milliseconds)} ms` }));
}

function median(values) {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];
}
