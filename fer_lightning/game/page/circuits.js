// Circuits without loops, as trees: {input: "A"}, or {op: "AND", from: [circuit, circuit]}. Each input is used once.

export const GATES = {
  NOT: { takes: 1, gives: (a) => 1 - a, rule: "NOT turns its input round" },
  AND: { takes: 2, gives: (a, b) => a & b, rule: "AND gives 1 only where both inputs are 1" },
  OR: { takes: 2, gives: (a, b) => a | b, rule: "OR gives 1 where at least one input is 1" },
  XOR: { takes: 2, gives: (a, b) => a ^ b, rule: "XOR gives 1 where its inputs differ" },
  NAND: { takes: 2, gives: (a, b) => 1 - (a & b), rule: "NAND is AND turned round: 0 only where both inputs are 1" },
  NOR: { takes: 2, gives: (a, b) => 1 - (a | b), rule: "NOR is OR turned round: 1 only where both inputs are 0" },
};
export const UNKNOWN = "?"; // a gate that the player is to name

const _ = null; // an input; named from the top
const SHAPES = {
  not: ["NOT", _],
  one: [2, _, _],
  two: [[2, [2, _, _], _], [2, _, [2, _, _]], [2, ["NOT", _], _], [2, _, ["NOT", _]]],
  three: [[2, [2, _, _], [2, _, _]], [2, [2, _, _], ["NOT", _]], [2, ["NOT", _], [2, _, _]], [2, [2, _, ["NOT", _]], _]],
};

// A circuit of one of SHAPES with gates of `ops`.
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

// Names of the inputs, from the top.
export function inputsOf(circuit) {
  return circuit.input ? [circuit.input] : circuit.from.flatMap(inputsOf);
}

// Gates in the order in which a signal passes them; the last one drives the lamp.
export function gatesOf(circuit) {
  return circuit.input ? [] : [...circuit.from.flatMap(gatesOf), circuit];
}

// 0 or 1; `bits`: the inputs' values from the top, "01".
export function valueOf(circuit, bits) {
  const names = inputsOf(circuit);
  const read = (part) =>
    part.input ? Number(bits[names.indexOf(part.input)]) : GATES[part.op].gives(...part.from.map(read));
  return read(circuit);
}

// Every setting of the inputs, counting up: ["00", "01", "10", "11"].
export function settingsOf(circuit) {
  const places = inputsOf(circuit).length;
  return Array.from({ length: 2 ** places }, (_, row) => row.toString(2).padStart(places, "0"));
}

// The lamp's value for each of them, as one string: "0001".
export function tableOf(circuit) {
  return settingsOf(circuit).map((bits) => valueOf(circuit, bits)).join("");
}

// The same circuit with `op` where the unknown gate is.
export function withGate(circuit, op) {
  if (circuit.input) return circuit;
  return { op: circuit.op === UNKNOWN ? op : circuit.op, from: circuit.from.map((part) => withGate(part, op)) };
}

// What each gate does, in words and in order: ["NOT of 0 is 1", "AND of 1 and 1 is 1"].
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
