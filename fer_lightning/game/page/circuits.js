// Circuits without loops, as trees: {input: "A"}, or {op: "AND", from: [circuit, circuit]}. Each input is used once.

export const GATES = {
  NOT: { takes: 1, gives: (a) => 1 - a, rule: "NOT changes 0 to 1 and 1 to 0" },
  AND: { takes: 2, gives: (a, b) => a & b, rule: "AND gives 1 only if both inputs are 1" },
  OR: { takes: 2, gives: (a, b) => a | b, rule: "OR gives 1 if at least one input is 1" },
  XOR: { takes: 2, gives: (a, b) => a ^ b, rule: "XOR gives 1 if its inputs are different" },
  NAND: { takes: 2, gives: (a, b) => 1 - (a & b), rule: "NAND is the opposite of AND: it gives 0 only if both inputs are 1" },
  NOR: { takes: 2, gives: (a, b) => 1 - (a | b), rule: "NOR is the opposite of OR: it gives 1 only if both inputs are 0" },
};
export const UNKNOWN = "?"; // a gate that the player must name

const _ = null; // an input; inputs are named from the top
const SHAPES = {
  not: ["NOT", _],
  one: [2, _, _],
  two: [[2, [2, _, _], _], [2, _, [2, _, _]], [2, ["NOT", _], _], [2, _, ["NOT", _]]],
  three: [[2, [2, _, _], [2, _, _]], [2, [2, _, _], ["NOT", _]], [2, ["NOT", _], [2, _, _]], [2, [2, _, ["NOT", _]], _]],
};

// Returns a circuit with one of SHAPES and gates from `ops`.
export function makeCircuit(random, shape, ops) {
  const names = [..."ABCD"];
  const build = (plan) => {
    if (plan === _) return { input: names.shift() };
    const [op, ...from] = plan;
    return { op: op === 2 ? random.pick(ops) : op, from: from.map(build) };
  };
  const plans = SHAPES[shape];
  return build(Array.isArray(plans[0]) ? random.pick(plans) : plans);
}

// Returns the names of the inputs, from the top.
export function inputsOf(circuit) {
  return circuit.input ? [circuit.input] : circuit.from.flatMap(inputsOf);
}

// Returns the gates in the order in which a signal passes them; the last gate drives the lamp.
export function gatesOf(circuit) {
  return circuit.input ? [] : [...circuit.from.flatMap(gatesOf), circuit];
}

// Returns the value of the circuit, 0 or 1. bits: values of the inputs from the top, such as "01".
export function valueOf(circuit, bits) {
  const names = inputsOf(circuit);
  const read = (part) =>
    part.input ? Number(bits[names.indexOf(part.input)]) : GATES[part.op].gives(...part.from.map(read));
  return read(circuit);
}

// Returns all values of the inputs, in counting order: ["00", "01", "10", "11"].
export function settingsOf(circuit) {
  const places = inputsOf(circuit).length;
  return Array.from({ length: 2 ** places }, (_, row) => row.toString(2).padStart(places, "0"));
}

// Returns the value of the lamp for each of them as one string: "0001".
export function tableOf(circuit) {
  return settingsOf(circuit).map((bits) => valueOf(circuit, bits)).join("");
}

// Returns the same circuit with `op` instead of the unknown gate.
export function withGate(circuit, op) {
  if (circuit.input) return circuit;
  return { op: circuit.op === UNKNOWN ? op : circuit.op, from: circuit.from.map((part) => withGate(part, op)) };
}

// Returns a text for each gate in order: ["NOT of 0 is 1", "AND of 1 and 1 is 1"].
export function stepsOf(circuit, bits) {
  const names = inputsOf(circuit);
  return gatesOf(circuit).map((gate) => {
    const values = gate.from.map((part) => valueOf(part, subBits(part, names, bits)));
    return `${gate.op} of ${values.join(" and ")} is ${GATES[gate.op].gives(...values)}`;
  });
}

function subBits(part, names, bits) {
  return inputsOf(part).map((name) => bits[names.indexOf(name)]).join("");
}
