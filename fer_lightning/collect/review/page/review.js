// The contact sheet: move, decide, undo. The ledger holds the current decisions, the outbox those not sent yet.

import { element } from "/shared/elements.js";
import { Ledger, outcome } from "./ledger.js";
import { ask, Outbox, post } from "./outbox.js";
import { cropAddress, Shelf, showFacts, showFlags, showImage } from "./panel.js";

const MOST_SPENT = 600_000; // maximum milliseconds counted for one face; after that, nobody was looking
const AHEAD = 6; // images that are loaded before they are needed
const LETTERS = "fer-review-letters";

const KEYS = { a: "accept", x: "reject", u: "unsure", d: "duplicate", m: "minor", i: "illustration" };
const OUTS = { x: "reject", u: "unsure", d: "duplicate", m: "minor", i: "illustration" };
const NAMES = {
  reject: ["Reject", "rejected"],
  unsure: ["Unsure", "unsure"],
  duplicate: ["Duplicate", "duplicate"],
  minor: ["Under 18?", "may be under 18"],
  illustration: ["Drawn or AI", "drawn or AI"],
};
const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", h: "left", l: "right", k: "up", j: "down" };

const $ = (id) => document.getElementById(id);
const number = (count) => count.toLocaleString("en");
const are = (count) => (count === 1 ? "is" : "are");
const decisions = (count, kind = "") => `${number(count)} ${kind}decision${count === 1 ? "" : "s"}`;

let state, faces, indices, ledger, outbox;
let undecided = 0;
let counts = new Map();
let focus = 0; // index of the face in focus
let anchor = 0; // index where the selected range began
let sheet = -1;
let resting = false; // the sheet is decided, and no key may change its last face by accident
let since = performance.now();
let troubled = false;
const shelf = new Shelf(() => outbox.flush());

// ---- beginning

async function begin() {
  const { status, body } = await ask("/api/state");
  if (status === 401) return location.reload();
  if (status !== 200) return wait(body);
  state = body;
  if (!state.faces.length) return wait({ error: "no face is left to review" });
  outbox = new Outbox(state.session, { changed: drawState, refused: onRefused });
  take(state);
  name();
  buttons();
  listen();
  $("review").hidden = false;
  drawState();
  focus = anchor = Math.max(0, nextUndecided(0));
  turnTo(Math.floor(focus / state.sheet));
  focusFace();
  outbox.flush();
}

function wait(body) {
  $("trouble-words").textContent = `Nothing to show yet: ${body?.error ?? "the server does not answer"}. This page will try again.`;
  $("trouble").hidden = false;
  setTimeout(begin, 2000);
}

// Set the faces, and build the ledger from the server's events, the later ones and those not sent yet.
function take({ faces: listed, events }, later = []) {
  faces = listed.map(([id, crop, emotion]) => ({ id, crop, emotion }));
  indices = new Map(faces.map(({ id }, index) => [id, index]));
  ledger = new Ledger(state.session.annotator);
  for (const [event, time, face, action, label, annotator] of events) {
    outbox.after(time);
    ledger.add({ event, time, face, action, label, annotator });
  }
  for (const event of [...later, ...outbox.events]) ledger.add({ ...event, annotator: state.session.annotator });
  undecided = 0;
  counts = new Map();
  for (const { id } of faces) count(ledger.current(id), 1);
}

function count(decision, by) {
  if (!decision) undecided += by;
  else counts.set(outcome(decision), (counts.get(outcome(decision)) ?? 0) + by);
}

function name() {
  const what = state.emotion ?? "faces";
  $("title").textContent = document.title = `Review of ${what}`;
  $("session").textContent = `${state.blind ? "second pass, blind" : "first pass"} · as ${state.session.annotator}`;
  $("help-accept").textContent = state.blind ? "not available in a second pass: choose a label" : `accept as ${state.emotion ?? "the emotion searched for"}`;
  $("help-last").textContent = Math.min(9, state.classes.length);
  $("definitions").replaceChildren(
    ...Object.entries(state.definitions).map(([label, words]) =>
      element("details", { open: !state.blind }, element("summary", { textContent: `What counts as ${label}` }), element("p", { textContent: words })),
    ),
  );
  const waiting = outbox.elsewhere();
  $("elsewhere").hidden = !waiting;
  $("elsewhere").textContent = `${decisions(waiting, "unsent ")} of another pass or annotator ${are(waiting)} kept in this browser. This browser sends ${waiting === 1 ? "it" : "them"} when that review is open again.`;
  $("letters").checked = recall(LETTERS) !== "off";
}

function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function buttons() {
  const make = (key, words, act, attributes = {}) => {
    const button = element("button", { type: "button" }, element("kbd", { textContent: key.toUpperCase(), ariaHidden: "true" }), element("span", { textContent: words }));
    for (const [attribute, value] of Object.entries(attributes)) button.setAttribute(attribute, value);
    button.setAttribute("aria-keyshortcuts", key.toUpperCase());
    button.addEventListener("click", act);
    return button;
  };
  const action = (key) => make(key, NAMES[KEYS[key]][0], () => decide(KEYS[key]), { "data-outcome": KEYS[key] });
  const accept = make("A", "Accept", () => decide("accept"), { id: "accept" });
  accept.lastChild.append(element("span", { id: "accept-as" }));
  accept.disabled = state.blind;
  $("choices").replaceChildren(accept, action("x"));
  $("outs").replaceChildren(action("u"), action("d"), action("m"), action("i"), make("Z", "Undo", undo));
  $("labels").replaceChildren(
    ...state.classes.map(({ name: label, color }, index) => {
      const button = make(index < 9 ? String(index + 1) : "", label, () => decide("accept", label), { "data-outcome": label });
      button.style.setProperty("--c", color);
      return button;
    }),
  );
}

// ---- moving

const last = () => Math.min(faces.length, (sheet + 1) * state.sheet) - 1;
const first = () => sheet * state.sheet;
const sheets = () => Math.ceil(faces.length / state.sheet);
const range = () => [Math.min(anchor, focus), Math.max(anchor, focus)];
const tile = (index) => $("faces").children[index - first()];

function nextUndecided(from, to = faces.length) {
  for (let index = from; index < to; index++) if (!ledger.current(faces[index].id)) return index;
  return -1;
}

function turnTo(wanted) {
  if (wanted === sheet) return;
  sheet = wanted;
  $("sheet-name").textContent = `Sheet ${number(sheet + 1)} of ${number(sheets())}`;
  $("faces").replaceChildren(...faces.slice(first(), last() + 1).map(makeTile));
  for (let index = first(); index <= last(); index++) drawTile(index);
  $("previous").disabled = sheet === 0;
  shelf.load(faces.slice(first(), last() + 1).map(({ id }) => id)).then(() => {
    drawPanel();
    loadAhead();
    prefetchSheet(sheet + 1);
  });
}

function makeTile({ id, crop }, index) {
  const image = element("img", { width: 144, height: 144, alt: "", draggable: false, src: cropAddress(id, crop) });
  image.addEventListener("error", () => outbox.flush());
  const made = element("div", { tabIndex: -1 }, image, element("span", { className: "mark" }));
  made.setAttribute("role", "option");
  made.addEventListener("click", (event) => moveTo(first() + index, event.shiftKey || several()));
  return made;
}

function prefetchSheet(wanted) {
  const coming = faces.slice(wanted * state.sheet, (wanted + 1) * state.sheet);
  for (const { id, crop } of coming) new Image().src = cropAddress(id, crop);
  shelf.load(coming.map(({ id }) => id));
}

function loadAhead() {
  shelf.image(faces[focus].id);
  let index = focus;
  for (let held = 0; held < AHEAD; held++) {
    index = nextUndecided(index + 1);
    if (index < 0) break;
    shelf.image(faces[index].id);
  }
  for (const beside of [focus - 1, focus + 1]) if (faces[beside]) shelf.image(faces[beside].id);
}

const several = () => $("several").getAttribute("aria-pressed") === "true";

function moveTo(wanted, extend = false) {
  const before = range();
  if (wanted !== focus) {
    since = performance.now();
    $("panel").scrollTop = 0;
  }
  focus = wanted;
  if (!extend) anchor = focus;
  resting = false;
  turnTo(Math.floor(focus / state.sheet));
  const [from, to] = range();
  for (let index = Math.max(first(), Math.min(from, before[0])); index <= Math.min(last(), Math.max(to, before[1])); index++) drawTile(index);
  focusFace();
}

function focusFace() {
  for (const other of $("faces").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  tile(focus).tabIndex = 0;
  tile(focus).focus({ preventScroll: true });
  tile(focus).scrollIntoView({ block: "nearest" });
  drawPanel();
  loadAhead();
}

function step(direction, extend) {
  const columns = getComputedStyle($("faces")).gridTemplateColumns.split(" ").length;
  const wanted = focus + { left: -1, right: 1, up: -columns, down: columns }[direction];
  if (wanted >= 0 && wanted < faces.length && (!extend || (wanted >= first() && wanted <= last()))) moveTo(wanted, extend);
}

// Go to the next sheet with undecided faces, or else simply to the next sheet.
function nextSheet() {
  const from = (sheet + 1) * state.sheet;
  const found = nextUndecided(from) >= 0 ? nextUndecided(from) : nextUndecided(0, first());
  if (found >= 0) return moveTo(found);
  turn((sheet + 1) % sheets());
}

function turn(wanted) {
  if (wanted < 0 || wanted >= sheets()) return;
  const from = wanted * state.sheet;
  const open = nextUndecided(from, Math.min(faces.length, from + state.sheet));
  moveTo(open < 0 ? from : open);
}

// ---- deciding

function decide(action, label = null) {
  const [from, to] = range();
  const chosen = faces.slice(from, to + 1);
  const wanted = chosen.map(({ id, emotion }) => ({ id, label: action === "accept" ? (label ?? emotion) : null }));
  if (action === "accept" && !wanted.every((one) => state.classes.some(({ name: known }) => known === one.label))) {
    return say(state.blind ? "A is not available in a second pass. Choose a label by its number." : "The emotion searched for is not a label of this review. Choose a label by its number.");
  }
  const changed = wanted.filter(({ id, label: wish }) => ledger.own(id)?.action !== action || ledger.own(id).label !== wish);
  const time = outbox.tick();
  const spent = Math.min(MOST_SPENT, Math.round((performance.now() - since) / chosen.length));
  const events = changed.map(({ id, label: wish }) => newEvent(id, action, { time, label: wish, ms_spent: spent }));
  apply(events);
  press("several", false);
  const labels = new Set(wanted.map(({ label: wish }) => wish));
  const done = labels.size > 1 ? "each accepted as the emotion searched for" : words({ action, label: wanted[0].label });
  say(`${which(from, to)}: ${done}${events.length ? "." : ", as before."}`);
  moveOn(to);
  outbox.add(events);
}

function newEvent(face, action, { time, label = null, undoes = null, ms_spent = null }) {
  const { crop } = faces[indices.get(face)] ?? {};
  const { pass } = state.session;
  return { event: identity(), time, face, crop, pass, action, label, undoes, ms_spent, page_version: state.page_version };
}

// Return a random UUID; some browsers have no crypto.randomUUID.
function identity() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function apply(events) {
  for (const event of events) {
    count(ledger.current(event.face), -1);
    ledger.add({ ...event, annotator: state.session.annotator });
    count(ledger.current(event.face), 1);
    drawTile(indices.get(event.face));
  }
}

function moveOn(from) {
  const end = last() + 1;
  const ahead = nextUndecided(from + 1, end);
  const found = ahead >= 0 ? ahead : nextUndecided(first(), end);
  if (found >= 0) return moveTo(found);
  moveTo(from);
  resting = true;
  $("next").focus({ preventScroll: true });
  say(`${$("said").textContent} ${restingWords()}`);
}

function restingWords() {
  return undecided ? "This sheet is decided. Press Enter for the next sheet." : "Every face is decided. Click Finish, or check your decisions.";
}

function undo() {
  const taken = ledger.lastKey().filter(({ face }) => indices.has(face));
  if (!taken.length) return say("You have no decision to undo.");
  const time = outbox.tick();
  const events = taken.map(({ event, face }) => newEvent(face, "undo", { time, undoes: event }));
  apply(events);
  const found = taken.map(({ face }) => indices.get(face));
  const [from, to] = [Math.min(...found), Math.max(...found)];
  moveTo(from);
  const now = ledger.current(faces[from].id);
  say(`Undone. ${which(from, to)}: ${now ? `${words(now)} again` : "undecided"}.`);
  outbox.add(events);
}

// The server has rejected events finally: load the state again from the server.
async function onRefused(refusals) {
  for (const { event, reason } of refusals) {
    const index = indices.get(event.face);
    const face = index === undefined ? `face ${event.face}` : which(index, index);
    $("refused").append(element("li", { textContent: `${face}, ${words(event)}: ${reason}` }));
  }
  $("refusals").hidden = false;
  const before = outbox.stored.length;
  const { status, body } = await ask("/api/state");
  if (status !== 200) {
    setTimeout(onRefused, 2000, []);
    return;
  }
  if (!body.faces.length) return;
  const { id } = faces[focus];
  take(body, outbox.stored.slice(before)); // the answer may be older than these
  focus = anchor = indices.get(id) ?? Math.min(focus, faces.length - 1);
  sheet = -1;
  turnTo(Math.floor(focus / state.sheet));
  drawState();
  focusFace();
}

// ---- drawing

function words({ action, label }) {
  if (action === "undo") return "undo";
  return action === "accept" ? `accepted as ${label}` : NAMES[action][1];
}

function which(from, to) {
  return from === to ? `Face ${number(from + 1)}` : `Faces ${number(from + 1)} to ${number(to + 1)}`;
}

function keyOf(decision) {
  if (decision.label) return String(state.classes.findIndex(({ name: label }) => label === decision.label) + 1);
  return Object.keys(OUTS).find((key) => OUTS[key] === decision.action).toUpperCase();
}

function drawTile(index) {
  if (index === undefined || index < first() || index > last()) return;
  const made = tile(index);
  const decision = ledger.current(faces[index].id);
  const [from, to] = range();
  const color = decision?.label && state.classes.find(({ name: label }) => label === decision.label)?.color;
  made.className = ["tile", decision ? (decision.label ? "accepted" : "out") : "open", color ? "colored" : ""].join(" ");
  if (color) made.style.setProperty("--c", color);
  made.setAttribute("aria-selected", String(index >= from && index <= to));
  made.setAttribute("aria-label", `${which(index, index)} of ${number(faces.length)}: ${decision ? words(decision) : "undecided"}`);
  made.lastChild.replaceChildren(
    ...(decision
      ? [element("kbd", { textContent: keyOf(decision) }), element("span", { textContent: decision.label ?? NAMES[decision.action][1] })]
      : [element("span", { textContent: "undecided" })]),
  );
}

function drawPanel() {
  const { id, crop, emotion } = faces[focus];
  const [from, to] = range();
  const decision = ledger.current(id);
  const own = ledger.own(id);
  const details = shelf.details(id);
  $("face-name").textContent = from === to ? `${which(focus, focus)} of ${number(faces.length)}` : `${which(from, to)} selected`;
  const by = decision && decision !== own ? ` by ${decision.annotator}. If you decide differently, the face is not accepted` : "";
  $("verdict").textContent = decision ? words(decision) + by : "undecided";
  $("verdict").className = decision ? "decided" : "";
  $("crop").src = cropAddress(id, crop);
  if (!state.blind) $("accept-as").textContent = ` as ${emotion}`;
  for (const button of $("decide").querySelectorAll("[data-outcome]")) {
    button.setAttribute("aria-pressed", String(Boolean(own) && outcome(own) === button.dataset.outcome));
  }
  if (!state.blind) $("accept").setAttribute("aria-pressed", String(own?.action === "accept" && own.label === emotion));
  if (!details) return drawWithoutDetails(details);
  const title = details.sources[0]?.title;
  const image = shelf.image(id);
  if ($("frame").firstChild !== image) showImage($("frame"), image, details, title);
  $("where").textContent = `whole image, ${details.width} × ${details.height} pixels`;
  showFacts($("facts"), details, state.blind);
  showFlags($("flags"), details, stateOf);
}

function drawWithoutDetails(details) {
  $("frame").replaceChildren();
  $("where").textContent = details === null ? "this face is no longer in the collection" : "loading";
  $("facts").replaceChildren();
  $("flags").replaceChildren();
}

function stateOf(face) {
  const index = indices.get(face);
  if (state.blind || index === undefined) return "another face";
  const decision = ledger.current(face);
  return `face ${number(index + 1)}: ${decision ? words(decision) : "undecided"}`;
}

function drawState() {
  const decided = faces.length - undecided;
  $("left").textContent = undecided ? `${number(undecided)} undecided` : "all decided";
  $("done").textContent = `${number(decided)} of ${number(faces.length)}`;
  $("progress").max = faces.length;
  $("progress").value = decided;
  $("finish-button").classList.toggle("strong", !undecided);
  const chip = (label, text, color) => {
    const made = element("li", { className: counts.get(label) ? "" : "none" }, element("b", { textContent: number(counts.get(label) ?? 0) }), ` ${text}`);
    if (color) made.style.setProperty("--c", color);
    made.classList.toggle("colored", Boolean(color));
    return made;
  };
  const left = Object.values(OUTS).filter((action) => counts.get(action));
  $("tally").replaceChildren(
    ...state.classes.map(({ name: label, color }) => chip(label, label, color)),
    ...left.map((action) => chip(action, NAMES[action][1])),
  );
  drawTrouble();
}

function drawTrouble() {
  const { size, trouble, keeping } = outbox;
  $("unsaved").hidden = !size;
  $("unsaved").textContent = `${number(size)} unsaved`;
  $("trouble").hidden = !trouble && (keeping || !size);
  const kept = keeping ? `${decisions(size, "unsaved ")} ${are(size)} kept in this browser` : `${decisions(size)} ${are(size)} unsaved, and this browser cannot keep them. Leave this page open`;
  const then = size ? `${kept}. This page sends them as soon as the server answers.` : "Every decision is saved.";
  const put = (text) => $("trouble-words").textContent !== text && ($("trouble-words").textContent = text);
  if (!trouble) put(`${kept}.`);
  else if (trouble.status === 401) put(`The server was restarted. Open the URL that its terminal printed, in this browser. ${then}`);
  else if (trouble.status === 409) put(`${trouble.words} Reload this page to continue. ${size ? `${kept} until that review is open again.` : ""}`);
  else if (trouble.status === 0) put(`The server does not answer. Check that it is still running in its terminal. ${then}`);
  else put(`${trouble.words || `The server answered with status ${trouble.status}.`} ${then}`);
  if (troubled && !trouble) recover();
  troubled = Boolean(trouble);
}

// The server answers again: load the images and details that are missing.
async function recover() {
  for (const image of document.querySelectorAll("img[data-failed]")) image.src = image.src;
  await shelf.load(faces.slice(first(), last() + 1).map(({ id }) => id));
  drawPanel();
}

function say(text) {
  $("said").textContent = text;
}

function press(id, pressed) {
  $(id).setAttribute("aria-pressed", String(pressed));
}

// ---- keys and buttons

function listen() {
  new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${$("top").offsetHeight}px`)).observe($("top"));
  document.addEventListener("keydown", onKey);
  // These events do not bubble. An image that did not load is an empty box; a screen reader still reads its text.
  document.addEventListener("error", ({ target }) => (target.dataset.failed = "yes"), true);
  document.addEventListener("load", ({ target }) => delete target.dataset.failed, true);
  $("next").addEventListener("click", nextSheet);
  $("previous").addEventListener("click", () => turn(sheet - 1));
  $("several").addEventListener("click", () => press("several", !several()));
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("finish-button").addEventListener("click", askToFinish);
  $("end-button").addEventListener("click", finish);
  $("retry").addEventListener("click", () => outbox.flush());
  $("reload").addEventListener("click", () => location.reload());
  $("dismiss").addEventListener("click", () => {
    $("refused").replaceChildren();
    $("refusals").hidden = true;
  });
  $("letters").addEventListener("change", ({ target }) => localStorage.setItem(LETTERS, target.checked ? "on" : "off"));
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => tile(focus)?.focus());
  addEventListener("online", () => outbox.flush());
  document.addEventListener("visibilitychange", () => {
    since = performance.now();
    if (!document.hidden && outbox.trouble) outbox.flush();
  });
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const inControl = event.target.closest("button, a, input, summary");
  const acts = navigation(key, event.shiftKey, inControl) ?? ($("letters").checked ? decision(key, event) : undefined);
  if (!acts) return;
  event.preventDefault();
  acts();
}

function navigation(key, extend, inControl) {
  if (MOVES[key] && (key.length > 1 || $("letters").checked)) return () => step(MOVES[key], extend);
  if (key === "Enter" && !inControl) return nextSheet;
  return {
    PageDown: () => turn(sheet + 1),
    PageUp: () => turn(sheet - 1),
    Home: () => moveTo(first(), extend),
    End: () => moveTo(last(), extend),
    Escape: () => moveTo(focus),
    "?": () => $("help").showModal(),
  }[key];
}

function decision(key, event) {
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1] ?? (/^[1-9]$/.test(key) ? key : null);
  const label = digit && state.classes[digit - 1]?.name;
  if (key === "z") return undo;
  if (!label && !KEYS[key]) return undefined;
  if (event.repeat) return () => {};
  if (resting) return () => say(restingWords());
  return () => (label ? decide("accept", label) : decide(KEYS[key]));
}

// ---- the end

function askToFinish() {
  const open = undecided ? `${number(undecided)} of ${number(faces.length)} faces ${are(undecided)} undecided. An undecided face is not accepted. The next review begins with the undecided faces.` : "Every face is decided.";
  const unsaved = outbox.size ? ` ${decisions(outbox.size)} ${are(outbox.size)} not saved yet. The review ends when every decision is saved.` : "";
  $("ending-words").textContent = open + unsaved;
  $("ending").showModal();
}

async function finish() {
  $("end-button").disabled = true;
  await outbox.flush();
  const { status, body } = outbox.size ? { status: 0 } : await post("/api/finish", { session: state.session });
  $("end-button").disabled = false;
  if (status !== 200) {
    $("ending-words").textContent = body?.error ?? "The server does not answer. Unsaved decisions are kept in this browser. Start the server again, then click Finish again.";
    return;
  }
  end(body);
}

function end({ counts: found, agreement }) {
  document.removeEventListener("keydown", onKey);
  $("ending").close();
  $("review").hidden = $("top").hidden = true;
  $("end").hidden = false;
  $("end-counts").textContent = `${Object.entries(found).map(([label, faces_]) => `${number(faces_)} ${NAMES[label]?.[1] ?? label}`).join(", ")}.`;
  $("end-agreement").hidden = !agreement;
  $("end-agreement").textContent = agreement ?? "";
  $("end-next").textContent = state.blind
    ? "A face on which the two passes differ is not accepted until one decision is changed. The next step merges the decisions and shows the tally."
    : "The next step merges the decisions and shows the tally. A blind second review of a share of the faces (review.second_pass=true review.annotator=second) measures how reliable the labels are.";
  $("end").querySelector("h1").focus();
}

begin();
