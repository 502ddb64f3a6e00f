// Drawing of a circuit: switches on the left, gates in columns, the lamp on the right.

import { GATES, UNKNOWN, inputsOf, valueOf } from "./circuits.js";
import { svg } from "./shapes.js";

const ROW = 76; // distance between two inputs
const COLUMN = 138; // distance between two columns of gates
const WIDTH = 66; // width of a gate
const HALF = 27; // half the height of a gate
const PORT = 14; // distance of a gate's inputs from its middle
const SWITCH = 58; // width of a switch
const LEFT = 26; // left side of the switches; their names are to the left of it
const STEP = 0.32; // seconds of a signal from one column to the next

const BODIES = {
  AND: "M0 -27H36A27 27 0 0 1 36 27H0Z",
  OR: "M-4 -27Q36 -27 64 0Q36 27 -4 27Q14 0 -4 -27Z",
  XOR: "M2 -27Q38 -27 65 0Q38 27 2 27Q20 0 2 -27Z",
  NOT: "M4 -24L54 0L4 24Z",
};
BODIES.NAND = "M0 -27H29A27 27 0 0 1 29 27H0Z";
BODIES.NOR = "M-4 -27Q30 -27 56 0Q30 27 -4 27Q14 0 -4 -27Z";
const BUBBLE = { NOT: 59, NAND: 61.5, NOR: 61.5 }; // position of the ring that inverts a value
const LABEL = { AND: 29, OR: 29, XOR: 34, NOT: 21, NAND: 27, NOR: 27 };

export class CircuitView {
  #circuit;
  #names;
  #wires = []; // {path, part, depth}
  #switches = [];
  #places = new Map(); // position of each part: {x, y, depth}
  bits;

  // bits: values of the inputs; null: show only their names. changed(place): called when the player switches an input.
  constructor(circuit, { bits = null, changed = null } = {}) {
    this.#circuit = circuit;
    this.#names = inputsOf(circuit);
    this.bits = bits;
    this.#place(circuit);
    const last = this.#places.get(circuit);
    const width = last.x + WIDTH + 112;
    const height = this.#names.length * ROW;
    const lamp = this.#lamp(last.x + WIDTH + 62, last.y);
    this.element = svg("svg", { viewBox: `0 0 ${width} ${Math.max(height, 124)}`, class: "circuit", role: "group" });
    this.element.style.setProperty("--width", width);
    const inner = svg("g", { transform: `translate(0 ${Math.max(0, 124 - height) / 2})` });
    inner.append(...this.#wiring(circuit, last), ...this.#gates(circuit), ...this.#inputs(changed), lamp);
    this.element.append(inner);
    this.#paint();
  }

  // Returns the circuit as text for screen readers: "(A AND B) OR C".
  words(part = this.#circuit) {
    if (part.input) return this.bits ? `${part.input}=${this.bits[this.#names.indexOf(part.input)]}` : part.input;
    const [first, second] = part.from.map((inner) => (inner.input || inner.from.length === 1 ? this.words(inner) : `(${this.words(inner)})`));
    const op = part.op === UNKNOWN ? "hidden gate" : part.op;
    return second ? `${first} ${op} ${second}` : `${op} ${first}`;
  }

  get switches() {
    return this.#switches;
  }

  set(bits) {
    this.bits = bits;
    this.element.classList.remove("powered", "lit");
    this.#paint();
  }

  // Powers the circuit: signals run through the gates, and the lamp shows the result.
  power() {
    this.element.classList.add("powered");
    this.element.classList.toggle("lit", valueOf(this.#circuit, this.bits) === 1);
    this.#paint();
  }

  #place(part, row = { next: 0 }) {
    if (part.input) {
      const place = { x: LEFT, y: (row.next++ + 0.5) * ROW, depth: 0 };
      this.#places.set(part, place);
      return place;
    }
    const from = part.from.map((inner) => this.#place(inner, row));
    const depth = 1 + Math.max(...from.map((place) => place.depth));
    const y = from.reduce((all, place) => all + place.y, 0) / from.length;
    const place = { x: LEFT + SWITCH + 46 + (depth - 1) * COLUMN, y, depth };
    this.#places.set(part, place);
    return place;
  }

  #wiring(part, last) {
    const to = { x: last.x + WIDTH + 42, y: last.y };
    return [this.#wire(part, to), ...this.#inner(part)];
  }

  #inner(part) {
    if (part.input) return [];
    const { x, y } = this.#places.get(part);
    return part.from.flatMap((from, place) => {
      const port = part.from.length === 1 ? y : y + (place ? PORT : -PORT);
      return [this.#wire(from, { x: x + (part.op === "NOT" ? 5 : 7), y: port }), ...this.#inner(from)];
    });
  }

  #wire(part, to) {
    const { x, y, depth } = this.#places.get(part);
    const start = part.input ? x + SWITCH : x + WIDTH - 2;
    const path = svg("path", { d: route(start, y, to.x, to.y), pathLength: 1, class: "signal" });
    path.style.setProperty("--delay", `${depth * STEP}s`);
    this.#wires.push({ path, part });
    return svg("g", { class: part.input ? "wire given" : "wire" }, svg("path", { d: route(start, y, to.x, to.y), class: "copper" }), path);
  }

  #gates(part) {
    if (part.input) return [];
    const { x, y } = this.#places.get(part);
    const unknown = part.op === UNKNOWN;
    const body = unknown
      ? svg("rect", { x: 0, y: -HALF, width: WIDTH, height: 2 * HALF, rx: 12, class: "body" })
      : svg("path", { d: BODIES[part.op], class: "body" });
    const gate = svg(
      "g",
      { class: unknown ? "gate unknown" : "gate", transform: `translate(${x} ${y})` },
      part.op === "XOR" ? svg("path", { d: "M-7 -27Q11 0 -7 27", class: "extra" }) : null,
      body,
      BUBBLE[part.op] ? svg("circle", { cx: BUBBLE[part.op], cy: 0, r: 5.5, class: "body" }) : null,
      svg("text", { x: LABEL[part.op] ?? WIDTH / 2, y: unknown ? 8 : 4.5, class: part.op === "NOT" ? "name small" : "name" }),
    );
    gate.lastChild.textContent = part.op;
    return [...part.from.flatMap((from) => this.#gates(from)), gate];
  }

  #inputs(changed) {
    const parts = [...this.#places.keys()].filter(({ input }) => input);
    return parts.map((part, place) => {
      const { x, y } = this.#places.get(part);
      const name = svg("text", { x: -14, y: 6, class: "input-name" });
      name.textContent = part.input;
      const made = svg("g", { transform: `translate(${x} ${y})`, class: "input" }, name);
      if (this.bits === null) {
        made.append(svg("path", { d: `M2 0H${SWITCH}`, class: "copper" }), svg("circle", { cx: 6, cy: 0, r: 6, class: "plug" }));
        return made;
      }
      const value = svg("text", { x: 0, y: 5, class: "value" });
      const knob = svg("g", { class: "knob" }, svg("circle", { r: 13 }), value);
      made.append(svg("rect", { x: -2, y: -19, width: SWITCH + 4, height: 38, rx: 19, class: "ring" }));
      made.append(svg("rect", { x: 2, y: -15, width: SWITCH - 4, height: 30, rx: 15, class: "slot" }), knob);
      if (changed) {
        for (const [key, word] of Object.entries({ role: "switch", "aria-label": `Input ${part.input}` })) made.setAttribute(key, word);
        made.classList.add("switch");
        made.addEventListener("click", () => changed(place));
      }
      this.#switches.push(made);
      return made;
    });
  }

  #lamp(x, y) {
    return svg(
      "g",
      { transform: `translate(${x} ${y})`, class: "lamp-out" },
      svg("circle", { class: "halo", r: 44 }),
      svg("path", { class: "rays", d: "M0 -34V-42M24 -24L30 -30M34 0H42M24 24L30 30M0 34V42" }),
      svg("path", { class: "socket", d: "M-22 -9h12v18h-12z" }),
      svg("circle", { class: "glass", r: 23, cx: 4 }),
      svg("path", { class: "filament", d: "M-9 -5l7 1 3 -7 5 15 3 -7 6 1" }),
    );
  }

  // Wires of the inputs always show their values; all other wires only when the circuit is powered.
  #paint() {
    this.element.setAttribute("aria-label", this.words());
    const powered = this.element.classList.contains("powered");
    for (const { path, part } of this.#wires) {
      const known = this.bits !== null && (part.input || powered);
      const bits = known ? inputsOf(part).map((name) => this.bits[this.#names.indexOf(name)]).join("") : "";
      path.classList.toggle("on", known && valueOf(part, bits) === 1);
    }
    this.#switches.forEach((made, place) => {
      const on = this.bits[place] === "1";
      made.classList.toggle("on", on);
      made.querySelector(".value").textContent = this.bits[place];
      if (made.classList.contains("switch")) made.setAttribute("aria-checked", String(on));
    });
  }
}

// Returns a path that goes right, then up or down, then right again, with round corners.
function route(x1, y1, x2, y2) {
  if (Math.abs(y2 - y1) < 1) return `M${x1} ${y1}H${x2}`;
  const middle = Math.max(x2 - 26, (x1 + x2) / 2);
  const down = Math.sign(y2 - y1);
  const round = Math.min(9, Math.abs(y2 - y1) / 2, x2 - middle);
  return (
    `M${x1} ${y1}H${middle - round}Q${middle} ${y1} ${middle} ${y1 + down * round}` +
    `V${y2 - down * round}Q${middle} ${y2} ${middle + round} ${y2}H${x2}`
  );
}
