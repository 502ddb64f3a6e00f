// Makes tasks of every level from many seeds, solves them, tries other answers, and records all texts of Bit.

import { LEVELS, check, choices, explain, form, hints, makeTask, method, question, solve, typed } from "./tasks.js";

const SEEDS = 12;
const PLACES = 8;

// Returns answers that are similar to the right one.
function others(task, answer) {
  switch (form(task)) {
    case "choice":
      return choices(task).filter((choice) => choice !== answer);
    case "bits":
      return [...answer].map((bit, place) => answer.slice(0, place) + (1 - bit) + answer.slice(place + 1));
    case "hex":
      return [1, 7].map((more) => inHex((parseInt(answer, 16) + more) % 16 ** task.digits, task.digits));
    case "number":
      return [1, -1, 5, 16].map((more) => String(Number(answer) + more));
  }
}

function inHex(value, digits) {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

function played(seed, level, number, before) {
  const task = makeTask(seed, number, level, before);
  const answer = solve(task);
  return {
    task,
    before,
    answer,
    right: check(task, answer),
    same: JSON.stringify(makeTask(seed, number, level, before)) === JSON.stringify(task),
    typed: ["number", "hex"].includes(form(task)) ? typed(task, ` ${answer.toLowerCase()} `) : answer,
    words: [question(task), method(task), ...hints(task)],
    others: others(task, answer).map((other) => ({
      answer: other,
      right: check(task, other),
      words: [explain(task, other, false), explain(task, other, true)],
    })),
  };
}

const games = [];
for (let seed = 0; seed < SEEDS; seed++) {
  const game = [];
  for (let level = 1; level <= LEVELS.length; level++) {
    for (let number = 0; number < PLACES; number++) {
      const before = number ? game.at(-1).task.kind : null;
      game.push(played(seed, level, number, before));
    }
  }
  games.push(game);
}
export default { games, kinds: LEVELS.map(({ tasks }) => tasks.map(({ kind }) => kind)) };
