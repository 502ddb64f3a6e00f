// The game: one task after the other, the robot Bit, and the server, which sets the level of the next task.

import { Connection } from "/shared/connection.js";
import { element, percent } from "/shared/elements.js";
import { labelOf } from "/shared/label.js";
import { Bit } from "./bit.js";
import { Board } from "./board.js";
import { Clock } from "./clock.js";
import { Eyes } from "./eyes.js";
import { Offers } from "./offers.js";
import { Random } from "./random.js";
import { hangingLamp } from "./shapes.js";
import { HELP, Lines, mayMeanStop, understand } from "./talk.js";
import { LEVELS, check, explain, form, hints, makeTask, method, question, solve } from "./tasks.js";

const BULBS = 8; // number of lamps that count the solved tasks in binary
const STREAK = 3; // number of right answers in a row after which Bit praises the player
const TRIES = 2; // number of wrong answers after which Bit offers to show the solution
const KEYS = {
  bits: [["0", "1", "switch"], ["←", "→", "move"], ["Enter", "check"]],
  choice: [["1", "0", "choose"]],
  gate: [["1", "…", "5", "choose"]],
  number: [["Enter", "check"]],
  hex: [["Enter", "check"]],
};
const WAITING = 2500; // milliseconds without a server after which the game begins

const $ = (id) => document.getElementById(id);
const seed = Number(new URLSearchParams(location.search).get("seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]) >>> 0;
const lines = new Lines(new Random(seed));
const clock = new Clock();
const connection = new Connection({ client: "Bit by Bit" });
const bit = new Bit($("bit"), $("log"));
const eyes = new Eyes(connection, { said: (words) => bit.say(words), changed: onWatching });
const offers = new Offers(offer);

const game = { level: 1, number: 0, solved: 0, streak: 0, begun: false };
let task = null;
let board = null;
let tries = 0; // wrong answers to this task
let hinted = 0; // hints given for this task
let settled = false;
let reason = "";
let state = null; // last estimated state of the player
let faces = null;
let away = ""; // "lost": the server is unreachable; "idle": the player did nothing for a long time; "": neither
let restoring = false; // true after a reconnect, until the server has confirmed the player's own choice again
const noticed = new Set();

// ---- tasks

function next() {
  if (!$("pause").hidden) back();
  bit.withdraw();
  const unlike = task?.kind;
  task = makeTask(seed, game.number++, game.level, unlike);
  tries = hinted = 0;
  settled = false;
  board = new Board(task, answer);
  $("board").replaceChildren(board.element);
  $("bench").dataset.task = JSON.stringify(task);
  $("bench").classList.remove("right", "wrong", "shown");
  $("question").textContent = question(task);
  $("number").textContent = `Task ${game.number}`;
  $("verdict").textContent = "";
  $("go").textContent = "Check";
  $("go").hidden = form(task) === "choice";
  $("hint").hidden = $("show").hidden = false;
  $("hint").disabled = false;
  showKeys();
  clock.restart();
  bit.rest(mood());
  scrollTo({ top: 0 }); // on a phone, Bit's last words are above the task
  if (!coarse() && document.activeElement !== $("words")) settle();
}

// Moves the focus to the answer, or to the question if the answer is a choice.
function settle() {
  if (form(task) === "choice") $("question").focus({ preventScroll: true });
  else board.focus();
}

// Moves the focus to the next step.
function onward() {
  if (settled) $("go").focus();
  else settle();
}

function answer(given) {
  if (settled) return next();
  if (given === null) return refuse();
  board.tryOut();
  if (check(task, given)) solved(given);
  else wrong(given);
}

function refuse() {
  const words = form(task) === "hex" ? "Please use the digits 0 to 9 and the letters A to F." : "Please type a number.";
  mark("wrong", words);
  board.focus();
}

function solved(given) {
  if (!tries) report(true);
  game.solved += 1;
  game.streak = tries || hinted >= hints(task).length ? 0 : game.streak + 1;
  const words = tries ? lines.get("late") : game.streak && game.streak % STREAK === 0 ? lines.get("streak") : lines.get("right");
  finish("right", given, words);
  bit.feel("cheer");
  showScore();
}

function wrong(given) {
  if (!tries) report(false);
  game.streak = 0;
  tries += 1;
  const words = explain(task, given, tries > 1);
  mark("wrong", lines.get("wrong"), words);
  bit.feel("puzzled");
  const more = tries === TRIES ? [{ words: "Show me how", take: show }, { words: "Let me try again", take: () => settle() }] : [];
  bit.say(words, { offers: more });
  showScore();
}

// Shows the solution to a player who asks for it.
function show() {
  if (settled) return;
  if (!tries) report(false);
  game.streak = 0;
  finish("shown", solve(task), "This is the solution.", method(task));
  bit.say(method(task));
  showScore();
}

function finish(outcome, given, words, more) {
  settled = true;
  bit.withdraw();
  board.settle(given);
  mark(outcome, words, more);
  $("go").hidden = false;
  $("go").textContent = "Next";
  $("hint").hidden = $("show").hidden = true;
  $("keys").replaceChildren(...keys([["Enter", "next"]]));
  if (document.activeElement !== $("words")) $("go").focus({ preventScroll: true });
}

// Shows a result. more: the same text that Bit says, because Bit may not be visible on a phone.
function mark(outcome, words, more = "") {
  $("bench").classList.remove("right", "wrong", "shown");
  void $("bench").offsetWidth; // restarts the animation of the same class
  $("bench").classList.add(outcome);
  const repeated = element("span", { className: "repeated", textContent: more });
  repeated.setAttribute("aria-hidden", "true");
  $("verdict").replaceChildren(words, repeated);
}

function report(correct) {
  connection.outcome({ correct, seconds: clock.seconds(), level: task.level });
}

function hint() {
  if (settled) return bit.say(method(task));
  const all = hints(task);
  bit.say(all[Math.min(hinted, all.length - 1)]);
  hinted += 1;
  $("hint").disabled = hinted >= all.length;
  bit.feel("thinking");
}

// ---- level

// Applies the player's own choice of the level; without a server the game stores it.
function override(change) {
  if (change === null && !$("adapt").checked) {
    setAdapt(true);
    if (!connection.held) return;
  }
  if (connection.override(change)) return;
  connection.held = change !== null;
  const level = Math.min(LEVELS.length, Math.max(1, game.level + (change ?? 0)));
  if (level !== game.level) moveTo(level, "You asked for it.", true);
  else bit.say(change === null ? "I will choose the level again when the server is back." : `We stay at level ${level}.`);
  showDials();
}

function setAdapt(on) {
  $("adapt").checked = on;
  if (!connection.setAdapt(on)) bit.say(on ? "I will change the level again when the server is back." : "I no longer change the level.");
  if (!on) bit.withdraw();
  showDials();
}

function onDifficulty({ level, by, reason: why }) {
  if (bounded(level) !== game.level) moveTo(bounded(level), why, by === "player");
  else if (by !== "start" && !(by === "player" && restoring)) bit.say(why);
  if (by === "player") restoring = false;
  showDials();
}

// Changes the level. now: also replace the current task, unless the player has tried it.
function moveTo(level, why, now) {
  const before = game.level;
  connection.level = game.level = level;
  reason = why;
  bit.say(why, { badge: `Level ${before} → ${level} · ${LEVELS[level - 1].name}` });
  showLevel();
  if (now && !settled && !tries) next();
}

function bounded(level) {
  return Math.min(LEVELS.length, level);
}

// ---- state of the player

function onState(detail) {
  state = detail;
  bit.rest(mood());
  if ($("adapt").checked && !settled && !$("bench").hidden && !document.hidden) offers.look(detail);
}

function mood() {
  if (!$("pause").hidden) return "asleep";
  if (away) return "lost";
  return $("adapt").checked ? ({ frustrated: "gentle", bored: "bright" }[state?.state] ?? "calm") : "calm";
}

function offer(kind) {
  const yes = (words, act, makesSense = true) => (makesSense ? [{ words, take: () => (offers.take(), act()) }] : []);
  const eased = () => [
    ...yes("A hint", () => (hint(), settle()), !settled && !$("hint").disabled),
    ...yes("An easier task", () => override(-1), game.level > 1),
    ...yes("A short break", pause),
  ];
  const sharpened = () => [...yes("A harder task", () => override(1), game.level < LEVELS.length), ...yes("A different task", next)];
  const few = kind === "frustrated" ? eased() : sharpened();
  const no = { words: "No, thanks", take: () => (offers.decline(), onward()) };
  bit.say(lines.get(kind === "frustrated" ? "offer" : "more"), { offers: [...few, no] });
}

function pause() {
  clock.stop();
  eyes.rest(true);
  $("bench").hidden = true;
  $("pause").hidden = false;
  bit.rest("asleep");
  $("pause-title").focus();
}

function back() {
  $("pause").hidden = true;
  $("bench").hidden = false;
  eyes.rest(false);
  clock.go();
  bit.rest(mood());
  bit.feel("wave");
  onward();
}

// ---- talk

const ANSWERS = {
  stop: () => bit.say(stopWatching()),
  watch: () => eyes.ask(),
  seen: () => bit.say(seen()),
  why: () => bit.say(why()),
  hint,
  hard: () => offer("frustrated"),
  easy: () => offer("bored"),
  easier: () => override(-1),
  harder: () => override(1),
  stay: () => override(0),
  decide: () => override(null),
  rest: pause,
  skip: () => (settled ? next() : show()),
  help: () => bit.say(HELP),
  hello: () => (bit.say("Hello! It is good to see you here."), bit.feel("wave")),
  thanks: () => (bit.say("You are welcome."), bit.feel("cheer")),
};

function hear(text) {
  bit.hear(text);
  connection.text(text);
  const meant = understand(text);
  if (meant) ANSWERS[meant]();
  else if (eyes.on && mayMeanStop(text)) bit.say("The camera is on. To switch it off, type “stop” or press “Stop watching”.");
  else bit.say(connection.ready ? lines.get("talk") : "I heard you, but the server is offline right now.");
}

function onWatching(watches) {
  bit.watch(watches);
  if (!watches) faces = null;
}

function stopWatching() {
  return eyes.stop()
    ? "The camera is off and your consent is withdrawn. Let’s play without it."
    : "I am not watching. The camera is off and stays off.";
}

function seen() {
  const known = state && state.state !== "unknown";
  const guess = known ? `My guess about your mood is “${state.state}”, with a confidence of ${percent(state.confidence)}.` : "I cannot tell how you feel.";
  const because = state?.reasons.length ? ` This is what I used: ${state.reasons.join("; ")}.` : "";
  return `${looked()} ${guess}${because} My guesses are often wrong, so what you say is more important.`;
}

function looked() {
  if (!eyes.on) return "I see nothing, because the camera is off. I use only your answers and what you type.";
  const [face] = faces ?? [];
  if (!face) return "I see no face right now.";
  if (face.doubt) return `I see a face, but I do not use it (${face.doubt}).`;
  const { sure, text } = labelOf(face.smoothed, connection.welcome.min_confidence);
  return sure ? `I see a face. The model calls it ${text}.` : "I see a face, but the model is not sure what it shows.";
}

function why() {
  const holds = connection.held ? " You chose this level, so I do not change it." : "";
  const off = $("adapt").checked ? "" : " The switch is off, so I may not change the level.";
  return `Level ${game.level}, “${LEVELS[game.level - 1].name}”: ${reason || "this is where we started."}${holds}${off}`;
}

// ---- the server

function onWelcome({ level, adapt }) {
  $("trouble").hidden = true;
  restoring = connection.held;
  if (!game.begun) {
    $("adapt").checked = adapt;
    game.level = bounded(level);
    begin();
  }
  if (away) {
    const before = away === "lost" ? "The server is back. " : "";
    away = "";
    bit.rest(mood());
    bit.say(`${before}We continue at level ${game.level}.`);
  }
  showDials();
}

function onLost({ words, locked, idle }) {
  if (!game.begun) begin();
  $("trouble-words").textContent = `${words} The game continues. Until then, Bit does not change the level and does not watch.`;
  $("retry").hidden = locked;
  $("trouble").hidden = false;
  state = faces = null;
  if (away) return;
  away = idle ? "idle" : "lost";
  bit.rest("lost");
  if (!idle) bit.say(`I cannot reach the server. Let’s keep playing at level ${game.level} until it is back.`);
}

// Bit says each notice only once, because a busy server repeats it.
function onNotice({ level, code, message }) {
  if (level !== "info" && !noticed.has(code)) bit.say(message);
  noticed.add(code);
}

function begin() {
  if (game.begun) return;
  game.begun = true;
  connection.level = game.level;
  $("game").hidden = false;
  showLevel();
  showScore();
  bit.say("Hello, I am Bit! I hang up lamps, and every lamp is a digit: on is 1, off is 0.");
  bit.say("Take your time. Ask me for a hint whenever you like, or type “help”. The camera is off.");
  bit.feel("wave", 3200);
  next();
}

// ---- display

function showLevel() {
  $("level-name").replaceChildren(element("strong", { textContent: `Level ${game.level}` }), ` ${LEVELS[game.level - 1].name}`);
  const nodes = LEVELS.map((_, place) => {
    const node = element("li", { className: place + 1 < game.level ? "done" : place + 1 === game.level ? "here" : "" });
    node.textContent = place + 1;
    return node;
  });
  $("track").replaceChildren(...nodes);
}

function showScore() {
  const lit = (game.solved % 2 ** BULBS).toString(2).padStart(BULBS, "0");
  const counter = $("counter");
  if (!counter.children.length) for (const _ of lit) counter.append(element("span", { className: "lamp" }, hangingLamp()));
  [...counter.children].forEach((lamp, place) => lamp.classList.toggle("on", lit[place] === "1"));
  $("score").textContent = `${game.solved} solved${game.streak > 1 ? ` · ${game.streak} in a row` : ""}`;
}

function showDials() {
  $("stay").setAttribute("aria-pressed", String(connection.held));
  $("decide").setAttribute("aria-pressed", String(!connection.held && $("adapt").checked));
  $("easier").disabled = game.level === 1;
  $("harder").disabled = game.level === LEVELS.length;
}

function showKeys() {
  $("keys").replaceChildren(...keys([...KEYS[task.kind === "missing" ? "gate" : form(task)], ["/", "talk to Bit"]]));
}

function keys(rows) {
  return rows.flatMap((row) => [...row.slice(0, -1).map((key) => element("kbd", { textContent: key })), ` ${row.at(-1)}  `]);
}

function coarse() {
  return matchMedia("(pointer: coarse)").matches;
}

// ---- start

$("bench").addEventListener("submit", (event) => {
  event.preventDefault();
  if (settled) next();
  else answer(board.answer());
});
// Ignore the second click of a double click: it would answer again, or skip Bit's reply to the first.
$("bench").addEventListener(
  "click",
  (event) => {
    if (event.detail < 2 || !event.target.closest("#go, #hint, .choice")) return;
    event.preventDefault();
    event.stopPropagation();
  },
  { capture: true },
);
document.addEventListener("keydown", (event) => {
  const nowhere = event.target === document.body && !$("bench").hidden && !$("consent").open;
  if (!task || !(nowhere || $("bench").contains(event.target)) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" && event.repeat) return event.preventDefault();
  const act = { h: () => !$("hint").disabled && !settled && hint(), "/": () => $("words").focus() }[event.key.toLowerCase()];
  if (act) act();
  else if (settled || event.target.tagName === "INPUT" || !board.press(event.key)) return;
  event.preventDefault();
});
$("hint").addEventListener("click", hint);
$("show").addEventListener("click", show);
$("back").addEventListener("click", back);
$("easier").addEventListener("click", () => override(-1));
$("stay").addEventListener("click", () => override(connection.held ? null : 0));
$("harder").addEventListener("click", () => override(1));
$("decide").addEventListener("click", () => override(null));
$("adapt").addEventListener("change", () => setAdapt($("adapt").checked));
$("watch").addEventListener("click", () => (eyes.on ? bit.say(stopWatching()) : eyes.ask()));
// A dialog returns the focus to the button that opened it. By then, this button switches the camera off.
$("consent").addEventListener("close", () => task && onward());
$("retry").addEventListener("click", () => connection.retry());
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("words").value.trim();
  $("words").value = "";
  if (text) hear(text);
});
$("words").addEventListener("keydown", (event) => {
  if (event.key === "Escape") onward();
});
connection.addEventListener("welcome", ({ detail }) => onWelcome(detail));
connection.addEventListener("difficulty", ({ detail }) => onDifficulty(detail));
connection.addEventListener("state", ({ detail }) => onState(detail));
connection.addEventListener("faces", ({ detail }) => (faces = detail.faces));
connection.addEventListener("notice", ({ detail }) => onNotice(detail));
connection.addEventListener("lost", ({ detail }) => onLost(detail));
connection.open();
setTimeout(begin, WAITING);
