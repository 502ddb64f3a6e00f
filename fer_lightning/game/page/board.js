// The current task on the page: its content, and the controls for the answer.

import { element } from "/shared/elements.js";
import { CircuitView } from "./circuit_view.js";
import { inputsOf, settingsOf } from "./circuits.js";
import { hangingLamp } from "./shapes.js";
import { choices, form, typed } from "./tasks.js";

const NAMES = { 0: "No, it stays dark", 1: "Yes, it lights up" };
const NEXT = ["ArrowRight", "ArrowDown"];
const BEFORE = ["ArrowLeft", "ArrowUp"];

export class Board {
  #task;
  #submit;
  #circuit = null;
  #switches = []; // elements with the value 0 or 1, in the order of the answer
  #bits = "";
  #input = null;
  #choices = [];
  #settled = false;

  // submit(answer): called when the player has answered, in the form that tasks.js needs.
  constructor(task, submit) {
    this.#task = task;
    this.#submit = submit;
    this.element = element("div", { className: `board of-${task.kind}` }, ...this.#parts());
  }

  // Returns the current answer; null: not a valid answer yet.
  answer() {
    if (this.#input) return typed(this.#task, this.#input.value);
    return this.#bits || null;
  }

  // Moves the keyboard focus to the field, the first switch or the first choice.
  focus() {
    const control = this.#input ?? this.#switches[0] ?? this.#choices[0];
    control.focus({ preventScroll: true });
    this.#input?.select();
  }

  // Handles a key that was pressed anywhere on the page. Returns true if it selects a choice.
  press(key) {
    const wanted = this.#choices.find(({ dataset }) => dataset.key === key);
    wanted?.click();
    return wanted !== undefined;
  }

  // Shows the effect of an answer before it is checked: a circuit is powered.
  tryOut() {
    if (this.#task.kind === "light") this.#circuit.power();
  }

  // Ends the task: shows `answer` and the value of each lamp, powers the circuit, and locks all controls.
  settle(answer) {
    this.#settled = true;
    this.element.classList.add("settled");
    if (form(this.#task) === "bits") this.#set(answer);
    if (this.#input) Object.assign(this.#input, { value: answer.replace("-", "−"), disabled: true });
    for (const choice of this.#choices) {
      choice.disabled = true;
      choice.setAttribute("aria-pressed", String(choice.dataset.choice === answer));
    }
    for (const made of this.#switches) {
      made.setAttribute("aria-disabled", "true");
      made.setAttribute("tabindex", "-1");
    }
    if (["glow", "light"].includes(this.#task.kind)) this.#circuit.power();
  }

  #parts() {
    const task = this.#task;
    switch (task.kind) {
      case "read":
        return [this.#string(task.bits), this.#field("The number", "numeric")];
      case "signed":
        return [this.#string(task.bits), this.#field("The number", "text")]; // a phone's number pad has no minus key
      case "toHex":
        return [this.#string(task.bits), this.#field("In hexadecimal", "text")];
      case "hexNumber":
        return [tiles(task.hex), this.#field("The number", "numeric")];
      case "write":
        return [this.#row(task.length)];
      case "fromHex":
        return [tiles(task.hex), this.#row(task.length)];
      case "add":
        return [this.#sum()];
      case "glow":
        return [this.#wired({ bits: task.inputs }), this.#options()];
      case "light":
        return [this.#bench()];
      case "table":
        return [element("div", { className: "beside" }, this.#wired({}), this.#table())];
      case "missing":
        return [element("div", { className: "beside" }, this.#wired({}), this.#table(task.output)), this.#options()];
    }
  }

  // Lamps that show a number.
  #string(bits) {
    const row = lamps(bits.length, this.#task, (place) => element("span", { className: bits[place] === "1" ? "lamp on" : "lamp" }));
    [...row.children].forEach((lamp, place) => (lamp.querySelector(".digit").textContent = bits[place]));
    row.setAttribute("role", "img");
    row.setAttribute("aria-label", `Lamps, from the left: ${[...bits].join(" ")}`);
    return row;
  }

  // Lamps that the player can switch.
  #row(length) {
    const row = lamps(length, this.#task, () => element("button", { type: "button", className: "lamp" }));
    this.#wire([...row.children], (place) => `Lamp ${place + 1} from the left`);
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Lamps; press 0 or 1 to switch, arrow keys to move");
    return row;
  }

  #sum() {
    const { first, second, length } = this.#task;
    const digits = (bits, sign) =>
      element(
        "div",
        { className: "digits" },
        element("span", { className: "sign", textContent: sign }),
        ...[...bits.padStart(length)].map((bit) => element("span", { textContent: bit })),
      );
    const answer = this.#row(length);
    answer.prepend(element("span", { className: "sign", textContent: "=" }));
    const made = element("div", { className: "sum" }, digits(first, ""), digits(second, "+"), answer);
    made.style.setProperty("--columns", length);
    return made;
  }

  #wired(options) {
    this.#circuit = new CircuitView(this.#task.circuit, options);
    return element("div", { className: "wiring" }, this.#circuit.element);
  }

  #bench() {
    const places = inputsOf(this.#task.circuit).length;
    const made = this.#wired({ bits: "0".repeat(places), changed: (place) => this.#toggle(place) });
    this.#wire(this.#circuit.switches, null);
    return made;
  }

  // A truth table. output: values of the last column; null: the player fills them in.
  #table(output = null) {
    const names = inputsOf(this.#task.circuit);
    const heads = [...names, "Lamp"].map((name) => element("th", { scope: "col", textContent: name }));
    const rows = settingsOf(this.#task.circuit).map((bits, row) => {
      const last = output
        ? element("span", { className: output[row] === "1" ? "out on" : "out", textContent: output[row] })
        : element("button", { type: "button", className: "out", textContent: "0" });
      const cells = [...bits].map((bit) => element("td", { textContent: bit }));
      return element("tr", {}, ...cells, element("td", {}, last));
    });
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
    const named = (row) => settingsOf(this.#task.circuit)[row].split("").map((bit, place) => `${names[place]} ${bit}`).join(", ");
    if (!output) this.#wire([...table.querySelectorAll("button")], named);
    return table;
  }

  #field(label, mode) {
    this.#input = element("input", { type: "text", inputMode: mode, autocomplete: "off", spellcheck: false, maxLength: 8 });
    this.#input.setAttribute("autocapitalize", "characters");
    return element("label", { className: "field" }, element("span", { textContent: label }), this.#input);
  }

  #options() {
    const names = choices(this.#task);
    this.#choices = names.map((name, place) => {
      const key = name in NAMES ? name : String(place + 1);
      const button = element("button", { type: "button", className: "choice" }, element("kbd", { textContent: key }), NAMES[name] ?? name);
      Object.assign(button.dataset, { key, choice: name });
      button.addEventListener("click", () => this.#submit(name));
      return button;
    });
    if (names[0] in NAMES) this.#choices.reverse();
    return element("div", { className: "choices" }, ...this.#choices);
  }

  // Adds mouse and keyboard control to elements with the value 0 or 1. A click switches; the keys 0 and 1 set the value
  // and move to the next element; arrow keys move; Enter answers.
  #wire(elements, named) {
    this.#switches = elements;
    this.#bits = "0".repeat(elements.length);
    elements.forEach((made, place) => {
      if (named) {
        made.setAttribute("aria-label", named(place));
        made.addEventListener("click", () => this.#toggle(place));
      }
      made.addEventListener("keydown", (event) => this.#key(event, place));
      made.addEventListener("focus", () => this.#hold(place));
    });
    this.#hold(0);
    this.#set(this.#bits);
  }

  // Makes all elements a single stop of the Tab key.
  #hold(place) {
    this.#switches.forEach((made, other) => made.setAttribute("tabindex", other === place ? "0" : "-1"));
  }

  #key(event, place) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const go = (to) => this.#switches[Math.max(0, Math.min(this.#switches.length - 1, to))].focus({ preventScroll: true });
    if (event.key === "Enter" && !event.repeat) this.#submit(this.#bits);
    else if (event.key === "Enter") return;
    else if (event.key === " ") this.#toggle(place);
    else if (event.key === "0" || event.key === "1") {
      this.#change(place, event.key);
      go(place + 1);
    } else if (NEXT.includes(event.key)) go(place + 1);
    else if (BEFORE.includes(event.key) || event.key === "Backspace") go(place - 1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(this.#switches.length - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #toggle(place) {
    this.#change(place, this.#bits[place] === "1" ? "0" : "1");
  }

  #change(place, bit) {
    if (!this.#settled) this.#set(this.#bits.slice(0, place) + bit + this.#bits.slice(place + 1));
  }

  #set(bits) {
    this.#bits = bits;
    if (this.#task.kind === "light") return this.#circuit.set(bits);
    this.#switches.forEach((made, place) => {
      made.classList.toggle("on", bits[place] === "1");
      made.setAttribute("aria-pressed", String(bits[place] === "1"));
      (made.querySelector(".digit") ?? made).textContent = bits[place];
    });
  }
}

// Returns a row of hanging lamps; make(place) returns the element of each. Rows for hexadecimal digits have gaps.
function lamps(length, task, make) {
  const row = element("div", { className: `string${task.places ? " named" : ""}${task.hex || task.digits ? " fours" : ""}` });
  row.style.setProperty("--columns", length);
  for (let place = 0; place < length; place++) {
    const lamp = make(place);
    const worth = 2 ** (length - 1 - place);
    lamp.append(hangingLamp(), element("span", { className: "digit" }));
    lamp.append(element("span", { className: "worth", textContent: task.signed && place === 0 ? `−${worth}` : String(worth) }));
    row.append(lamp);
  }
  return row;
}

function tiles(hex) {
  const made = element("p", { className: "tiles" }, ...[...hex].map((digit) => element("span", { textContent: digit })));
  made.append(element("sub", { textContent: "16" }));
  return made;
}
