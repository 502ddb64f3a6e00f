// The game's tasks. A task is plain data; every answer is a string: "13", "1A", "0110", "AND".
//
// Each kind of task defines how its tasks are made, asked, solved, checked and explained, and its hints. A task depends
// only on the seed, its number in the game, and the level. Every task can be solved.

import { GATES, UNKNOWN, inputsOf, gatesOf, makeCircuit, settingsOf, stepsOf, tableOf, valueOf, withGate } from "./circuits.js";
import { Random } from "./random.js";

const SIMPLE = ["AND", "OR"];
const THREE = [...SIMPLE, "XOR"];
const ALL = [...THREE, "NAND", "NOR"];

export const LEVELS = [
  { name: "Three lamps", tasks: [{ kind: "read", bits: 3, places: true }, { kind: "write", bits: 3, places: true }] },
  {
    name: "Four lamps",
    tasks: [
      { kind: "read", bits: 4, places: true },
      { kind: "write", bits: 4, places: true },
      { kind: "glow", shape: "one", ops: SIMPLE },
    ],
  },
  {
    name: "First gates",
    tasks: [
      { kind: "glow", shape: "one", ops: THREE },
      { kind: "glow", shape: "not", ops: [] },
      { kind: "light", shape: "one", ops: THREE },
      { kind: "read", bits: 5, places: true },
    ],
  },
  {
    name: "By heart",
    tasks: [
      { kind: "read", bits: 5 },
      { kind: "write", bits: 5 },
      { kind: "table", shape: "one", ops: THREE },
      { kind: "glow", shape: "one", ops: ALL },
    ],
  },
  {
    name: "Carry one",
    tasks: [
      { kind: "add", bits: 3 },
      { kind: "glow", shape: "two", ops: SIMPLE },
      { kind: "write", bits: 6 },
      { kind: "table", shape: "one", ops: ALL },
    ],
  },
  {
    name: "Two gates",
    tasks: [
      { kind: "glow", shape: "two", ops: THREE },
      { kind: "light", shape: "two", ops: THREE },
      { kind: "add", bits: 4 },
      { kind: "read", bits: 7 },
    ],
  },
  {
    name: "A whole byte",
    tasks: [
      { kind: "read", bits: 8 },
      { kind: "write", bits: 8 },
      { kind: "table", shape: "two", ops: THREE },
      { kind: "missing", shape: "one", ops: ALL },
    ],
  },
  {
    name: "Hexadecimal",
    tasks: [
      { kind: "toHex", digits: 1 },
      { kind: "fromHex", digits: 1 },
      { kind: "add", bits: 5 },
      { kind: "missing", shape: "two", ops: ALL },
    ],
  },
  {
    name: "Three gates",
    tasks: [
      { kind: "glow", shape: "three", ops: ALL },
      { kind: "light", shape: "three", ops: ALL },
      { kind: "toHex", digits: 2 },
      { kind: "fromHex", digits: 2 },
    ],
  },
  {
    name: "Below zero",
    tasks: [
      { kind: "signed", bits: 5 },
      { kind: "hexNumber", digits: 2 },
      { kind: "missing", shape: "three", ops: ALL },
      { kind: "add", bits: 7 },
    ],
  },
];

// Returns task `number` of the game `seed`. Its kind differs from `unlike` if the level has another kind.
export function makeTask(seed, number, level, unlike = null) {
  const random = new Random(seed, number, level);
  const { tasks } = LEVELS[level - 1];
  const others = tasks.filter(({ kind }) => kind !== unlike);
  const { kind, ...wanted } = random.pick(others.length ? others : tasks);
  return { kind, level, number, ...KINDS[kind].make(random, wanted) };
}

export const question = (task) => KINDS[task.kind].question(task);
export const form = (task) => KINDS[task.kind].form; // number, hex, bits or choice
export const solve = (task) => KINDS[task.kind].solve(task);
export const hints = (task) => KINDS[task.kind].hints(task);
// The way to the solution, for a player who asks for it.
export const method = (task) => KINDS[task.kind].method(task);

export function check(task, answer) {
  const { right, solve: solution } = KINDS[task.kind];
  return right ? right(task, answer) : answer === solution(task);
}

// Explains a wrong answer and gives help; the way to the solution only after an earlier wrong answer.
export function explain(task, answer, again) {
  const { mistake, method: way, hints: few } = KINDS[task.kind];
  const found = mistake(task, answer);
  const help = again || few(task).length < 3 ? way(task) : found ? "" : few(task)[0];
  return [found, help].filter(Boolean).join(" ");
}

// Returns typed text as a number or a hexadecimal number in the form of a task; null: it is neither.
export function typed(task, text) {
  const word = text.trim().replace(/^−/, "-").toUpperCase();
  if (form(task) === "hex") return /^(0X)?[0-9A-F]{1,4}$/.test(word) ? inHex(parseInt(word.replace(/^0X/, ""), 16), task.digits) : null;
  return /^-?\d{1,6}$/.test(word) ? String(Number(word)) : null;
}

// Returns the values of the bits that are 1, from the left: [8, 2] for "1010".
export function partsOf(bits) {
  return [...bits].map((bit, place) => bit * 2 ** (bits.length - 1 - place)).filter(Boolean);
}

const number = (bits) => parseInt(bits, 2);
const inBits = (value, places) => value.toString(2).padStart(places, "0");
const inHex = (value, digits) => value.toString(16).toUpperCase().padStart(digits, "0");
const sum = (parts) => `${parts.join(" + ")} = ${parts.reduce((a, b) => a + b)}`;
const backwards = (bits) => [...bits].reverse().join("");
const opposite = (bits) => [...bits].map((bit) => 1 - bit).join("");
const counted = (bits) => [...bits].filter((bit) => bit === "1").length;
const nibbles = (bits) => bits.match(/.{4}/g);

// Returns a number with at least two bits that are 1, so that the places matter.
function telling(random, bits) {
  const values = Array.from({ length: 2 ** bits }, (_, value) => value);
  return random.pick(values.filter((value) => counted(inBits(value, bits)) > 1));
}

// Returns a number whose first hexadecimal digit is a letter.
function lettered(random, digits) {
  return random.between(10 * 16 ** (digits - 1), 16 ** digits - 1);
}

function places(bits) {
  return Array.from({ length: bits }, (_, place) => 2 ** place).join(", ");
}

const read = {
  form: "number",
  make: (random, { bits, places: shown = false }) => ({ bits: inBits(telling(random, bits), bits), places: shown }),
  question: () => "Which number do the lamps show?",
  solve: ({ bits }) => String(number(bits)),
  method: ({ bits }) => `Add the values of all lamps that are on: ${sum(partsOf(bits))}.`,
  mistake({ bits }, answer) {
    const missing = number(bits) - Number(answer);
    if (Number(answer) === number(backwards(bits))) return "You read the lamps from the other side: the lamp with the value 1 is on the right.";
    if (partsOf(bits).includes(missing)) return `Close! The lamp with the value ${missing} is also on.`;
    if (partsOf(opposite(bits)).includes(-missing)) return `That is ${-missing} too much: a lamp that is off does not count.`;
    if (Number(answer) === counted(bits)) return "That is the number of lamps that are on. But each lamp has twice the value of the lamp on its right.";
    return `From the right, the lamps have the values ${places(bits.length)}.`;
  },
  hints: ({ bits }) => [
    `From the right, the lamps have the values ${places(bits.length)}.`,
    "Add the values of all lamps that are on.",
    `The leftmost lamp that is on has the value ${partsOf(bits)[0]}.`,
  ],
};

const write = {
  form: "bits",
  make: (random, { bits, places: shown = false }) => ({ target: telling(random, bits), length: bits, places: shown }),
  question: ({ target }) => `Switch the lamps so that they show ${target}.`,
  solve: ({ target, length }) => inBits(target, length),
  method: ({ target, length }) => `Take the largest value that fits, then the largest that fits into the rest: ${target} = ${partsOf(inBits(target, length)).join(" + ")}.`,
  mistake({ target, length }, answer) {
    const shown = number(answer);
    if (answer === backwards(inBits(target, length))) return "That is the right pattern from the wrong side: the lamp with the value 1 is on the right.";
    return `Your lamps show ${shown}, so ${Math.abs(target - shown)} is ${shown < target ? "missing" : "too much"}.`;
  },
  hints({ target, length }) {
    const [first] = partsOf(inBits(target, length));
    return [
      `From the right, the lamps have the values ${places(length)}.`,
      `The largest value that fits into ${target} is ${first}.`,
      `After ${first}, you still need ${target - first}.`,
    ];
  },
};

const add = {
  form: "bits",
  make(random, { bits }) {
    const [first, second] = [0, 1].map(() => random.between(2 ** (bits - 2), 2 ** bits - 1));
    return { first: inBits(first, bits), second: inBits(second, bits), length: bits + 1 };
  },
  question: () => "Add the two numbers, in binary.",
  solve: ({ first, second, length }) => inBits(number(first) + number(second), length),
  method: ({ first, second }) => `In numbers: ${number(first)} + ${number(second)} = ${number(first) + number(second)}.`,
  mistake(task, answer) {
    const { first, second, length } = task;
    if (number(answer) === (number(first) ^ number(second))) return "You forgot to carry: 1 + 1 is 10, so 1 goes to the next column on the left.";
    const solution = solve(task);
    const column = [...backwards(solution)].findIndex((bit, place) => bit !== backwards(answer)[place]);
    const low = 2 ** column - 1;
    const carry = (number(first) & low) + (number(second) & low) > low ? 1 : 0;
    const [above, below] = [first, second].map((bits) => Number(backwards(bits)[column] ?? 0));
    const total = above + below + carry;
    const where = column === 0 ? "in the rightmost column" : column === length - 1 ? "in the leftmost column" : `in column ${column + 1} from the right`;
    return `Look ${where}: ${above} + ${below}${carry ? " + 1 carried" : ""} is ${total}, so ${total & 1} stays${total > 1 ? " and 1 is carried" : ""}.`;
  },
  hints: ({ first, second }) => [
    "Start on the right, as with decimal numbers. 0 + 1 is 1. 1 + 1 is 10, so 0 stays and 1 is carried.",
    `The rightmost column: ${first.at(-1)} + ${second.at(-1)} is ${inBits(Number(first.at(-1)) + Number(second.at(-1)), 1)}.`,
    `The first row is ${number(first)}, the second ${number(second)}.`,
  ],
};

const toHex = {
  form: "hex",
  make: (random, { digits }) => ({ bits: inBits(lettered(random, digits), 4 * digits), digits }),
  question: () => "Which number is this in hexadecimal?",
  solve: ({ bits, digits }) => inHex(number(bits), digits),
  method: ({ bits }) => `Four lamps make one digit: ${nibbles(bits).map((four) => `${four} is ${number(four)}${number(four) > 9 ? `, written ${inHex(number(four), 1)}` : ""}`).join("; ")}.`,
  mistake({ bits, digits }, answer) {
    if (answer === String(number(bits)).padStart(digits, "0")) return "That is the decimal number. In hexadecimal, 10 to 15 are the letters A to F.";
    if (answer.length > digits) return `Four lamps make one digit, so there ${digits > 1 ? `are ${digits}` : "is one"}.`;
    const wrong = [...answer].findIndex((digit, place) => digit !== inHex(number(bits), digits)[place]);
    return digits > 1 ? `Look at the ${wrong ? "right" : "left"} four lamps.` : "";
  },
  hints: ({ bits }) => [
    "Four lamps make one digit. Their values are 8, 4, 2 and 1.",
    "Ten to fifteen are written as A, B, C, D, E and F.",
    `The first four lamps, ${nibbles(bits)[0]}, are ${number(nibbles(bits)[0])}.`,
  ],
};

const fromHex = {
  form: "bits",
  make: (random, { digits }) => ({ hex: inHex(lettered(random, digits), digits), length: 4 * digits }),
  question: ({ hex }) => `Show the hexadecimal number ${hex}.`,
  solve: ({ hex, length }) => inBits(parseInt(hex, 16), length),
  method: ({ hex }) => `Each digit is four lamps: ${[...hex].map((digit) => `${digit} is ${parseInt(digit, 16)}, that is ${inBits(parseInt(digit, 16), 4)}`).join("; ")}.`,
  mistake: ({ length }, answer) => `Your lamps show ${inHex(number(answer), length / 4)}.`,
  hints: ({ hex }) => [
    "Each hexadecimal digit is four lamps with the values 8, 4, 2 and 1.",
    "A is 10, B is 11, C is 12, D is 13, E is 14, and F is 15.",
    `${hex[0]} is ${inBits(parseInt(hex[0], 16), 4)}.`,
  ],
};

const hexNumber = {
  form: "number",
  make: (random, { digits }) => ({ hex: inHex(random.between(16 ** (digits - 1) + 1, 16 ** digits - 1), digits) }),
  question: ({ hex }) => `Which number is hexadecimal ${hex}, in decimal?`,
  solve: ({ hex }) => String(parseInt(hex, 16)),
  method: ({ hex }) => `The left digit counts sixteens: ${parseInt(hex[0], 16)} × 16 + ${parseInt(hex[1], 16)} = ${parseInt(hex, 16)}.`,
  mistake: ({ hex }, answer) =>
    Number(answer) === parseInt(hex[0], 16) * 10 + parseInt(hex[1], 16) ? "You counted tens, but the left digit counts sixteens." : "",
  hints: ({ hex }) => [
    "The right digit counts ones, the left digit counts sixteens.",
    `${hex[0]} is ${parseInt(hex[0], 16)}, ${hex[1]} is ${parseInt(hex[1], 16)}.`,
    `${parseInt(hex[0], 16)} × 16 is ${parseInt(hex[0], 16) * 16}.`,
  ],
};

const signed = {
  form: "number",
  make: (random, { bits }) => ({ bits: `1${inBits(random.between(1, 2 ** (bits - 1) - 1), bits - 1)}`, signed: true, places: false }),
  question: () => "Which number do the lamps show in two’s complement?",
  solve: ({ bits }) => String(number(bits) - 2 ** bits.length),
  method: ({ bits }) => `The leftmost lamp has the value −${2 ** (bits.length - 1)}, and all others have their usual values: −${2 ** (bits.length - 1)} + ${number(bits.slice(1))} = −${2 ** bits.length - number(bits)}.`,
  mistake({ bits }, answer) {
    if (Number(answer) === number(bits)) return "That would be right without two’s complement.";
    if (Number(answer) === -number(bits.slice(1))) return "The first lamp is not only a minus sign; it also has a value.";
    return "";
  },
  hints: ({ bits }) => [
    "In two’s complement the leftmost lamp has a negative value.",
    `Here its value is −${2 ** (bits.length - 1)}.`,
    `The other lamps show ${number(bits.slice(1))}.`,
  ],
};

const glow = {
  form: "choice",
  choices: () => ["0", "1"],
  make(random, { shape, ops }) {
    const circuit = makeCircuit(random, shape, ops);
    return { circuit, inputs: random.pick(settingsOf(circuit)) };
  },
  question: () => "Will the lamp light up?",
  solve: ({ circuit, inputs }) => String(valueOf(circuit, inputs)),
  method: ({ circuit, inputs }) => `${rules(circuit)} Here, ${stepsOf(circuit, inputs).join("; then ")}.`,
  mistake: () => "",
  hints: ({ circuit, inputs }) => [rules(circuit), `From the left: ${stepsOf(circuit, inputs)[0]}.`],
};

const light = {
  form: "bits",
  make(random, { shape, ops }) {
    const circuit = makeCircuit(random, shape, ops);
    const [off] = settingsOf(circuit);
    return valueOf(circuit, off) ? light.make(random, { shape, ops }) : { circuit }; // there is something to switch
  },
  question: () => "Switch the lamp on.",
  solve: ({ circuit }) => settingsOf(circuit).find((bits) => valueOf(circuit, bits)),
  right: ({ circuit }, answer) => settingsOf(circuit).includes(answer) && valueOf(circuit, answer) === 1,
  method: ({ circuit }) => `Start at the lamp and go back: ${rule(circuit.op)}. One solution is ${named(circuit, light.solve({ circuit }))}.`,
  mistake: ({ circuit }, answer) => `With your switches, ${stepsOf(circuit, answer).join("; then ")}.`,
  hints: ({ circuit }) => ["Start at the lamp and go back: which inputs does its gate need?", rules(circuit), `Try ${named(circuit, light.solve({ circuit }))}.`],
};

const table = {
  form: "bits",
  make: (random, { shape, ops }) => ({ circuit: makeCircuit(random, shape, ops) }),
  question: () => "Fill in the truth table.",
  solve: ({ circuit }) => tableOf(circuit),
  method: ({ circuit }) => rules(circuit),
  mistake({ circuit }, answer) {
    const row = [...tableOf(circuit)].findIndex((bit, place) => bit !== answer[place]);
    const inputs = settingsOf(circuit)[row];
    return `Look at ${named(circuit, inputs)}: ${stepsOf(circuit, inputs).join("; then ")}.`;
  },
  hints({ circuit }) {
    const [first, last] = [settingsOf(circuit)[0], settingsOf(circuit).at(-1)];
    const row = (inputs) => `${named(circuit, inputs)}: ${stepsOf(circuit, inputs).join("; then ")}.`;
    return [rules(circuit), `The first row is ${row(first)}`, `The last row is ${row(last)}`];
  },
};

const missing = {
  form: "choice",
  choices: () => ALL,
  make(random, { shape, ops }) {
    const circuit = makeCircuit(random, shape, ops);
    const hidden = random.pick(gatesOf(circuit).filter(({ op }) => op !== "NOT"));
    const output = tableOf(circuit);
    hidden.op = UNKNOWN;
    return { circuit, output };
  },
  question: () => "Which gate is hidden?",
  solve: ({ circuit, output }) => ALL.find((op) => tableOf(withGate(circuit, op)) === output),
  method(task) {
    const op = missing.solve(task);
    return `It is ${op}: ${rule(op)}.`;
  },
  mistake({ circuit, output }, answer) {
    if (!GATES[answer]) return "";
    const given = withGate(circuit, answer);
    const row = [...tableOf(given)].findIndex((bit, place) => bit !== output[place]);
    const inputs = settingsOf(circuit)[row];
    return `With ${answer}, the row ${named(circuit, inputs)} would give ${valueOf(given, inputs)}, but the table shows ${output[row]}.`;
  },
  hints: (task) => [
    "Look at one row of the table, and check which gates match it. Then check another row.",
    task.circuit.op === UNKNOWN ? `The lamp is on in ${counted(task.output)} of ${task.output.length} rows.` : `Look at the last gate: ${rule(task.circuit.op)}.`,
    `It is ${["OR", "NOR"].includes(missing.solve(task)) ? "OR or NOR" : ["AND", "NAND"].includes(missing.solve(task)) ? "AND or NAND" : "neither AND nor OR"}.`,
  ],
};

const KINDS = { read, write, add, toHex, fromHex, hexNumber, signed, glow, light, table, missing };

export const choices = (task) => KINDS[task.kind].choices(task);

function rule(op) {
  return GATES[op].rule;
}

function rules(circuit) {
  const found = new Set(gatesOf(circuit).map(({ op }) => rule(op)));
  return `${[...found].join(". ")}.`;
}

// "A = 1, B = 0".
function named(circuit, bits) {
  return inputsOf(circuit).map((name, place) => `${name} = ${bits[place]}`).join(", ");
}
