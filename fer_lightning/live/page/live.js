// The live page: the consent, the camera, and the server's results for its frames.

import { Camera, NoCamera } from "/shared/camera.js";
import { about as identify, Connection } from "/shared/connection.js";
import { consentForm } from "/shared/consent.js";
import { bar, element, percent } from "/shared/elements.js";
import { Sight } from "/shared/sight.js";
import { Boxes } from "./boxes.js";
import { Faces } from "./faces.js";
import { bySize } from "./looks.js";
import { Meters } from "./meters.js";
import { Notices } from "./notices.js";
import { Timeline } from "./timeline.js";

const FRAMES_PER_SECOND = { browser: 10, server: 5 };
const STALE_MS = 2000; // milliseconds without an answer after which boxes are removed
const STATES = ["frustrated", "bored", "engaged"];
const EXPORT = "python -m fer_lightning.export run=outputs/NAME/seed-0\npython -m fer_lightning.live model=outputs/NAME/seed-0/face.onnx";
const WITHOUT = "Without the camera this page still reads what you type.";
const STARTING = { title: "Waiting for the camera …", words: "The browser may ask you to allow the camera for this page." };
const OFF = { title: "The camera is off", words: WITHOUT, again: "Read about the camera again" };
const NO_MODEL = {
  title: "No model is loaded",
  words: "The camera stays off. This page still reads what you type. To use the camera, export one of your runs and start the server with it:",
  command: EXPORT,
};
const FRAMES_GO = {
  browser: "Images of the camera do not leave this page.",
  server: "Frames go only to the server of this page and are never stored.",
};
const UNKNOWN = { state: "unknown", confidence: 0, probabilities: {}, reasons: ["the server is not reachable"] };
// Text of the light, by the owner of the camera.
const LIGHTS = {
  client: { on: "Camera on", paused: "Camera on, nothing is sent", off: "Camera off" },
  server: { on: "Server’s camera on", lost: "Server’s camera: no image", paused: "Server’s camera, paused", off: "Camera off" },
};

const $ = (id) => document.getElementById(id);
const camera = new Camera($("video"), (error) => stop(error));
const boxes = new Boxes($("boxes"));
const cards = new Faces($("faces"), $("more"));
const timeline = new Timeline($("timeline"));
const notices = new Notices($("notices"));
const meters = new Meters({ latency: $("latency"), parts: $("parts"), rate: $("rate"), dropped: $("dropped") });
const connection = new Connection({ client: "live page" });
const sight = new Sight({ camera, connection, perSecond: FRAMES_PER_SECOND, failed: askAgain });
let about = null; // the server's welcome
let colors = new Map();
let mode = "off"; // off, starting, on or paused
let lost = false; // the server's camera gives no images
let lastAnswer = 0; // time of the last faces, in milliseconds
let asks = 0; // number of the last question for consent
let states = new Map();

// ---- the server

function onWelcome(welcome) {
  const before = about;
  about = welcome;
  lost = false; // if the camera is still lost, a notice follows
  notices.clear();
  if (!before) return begin();
  if (identify(before) !== identify(about)) return beginAgain();
  resume();
  showLight();
}

function begin() {
  const { model } = about;
  $("model").textContent = model ? model.name : "no model";
  colors = new Map(model?.classes.map(({ name, color }) => [name, color]));
  timeline.classes = model?.classes ?? [];
  showKey(model?.classes ?? []);
  if (about.camera === "none") showLive(NO_MODEL);
  else ask();
}

// This browser cannot read frames any longer. The player has not agreed that images are sent: ask.
function askAgain(problem) {
  stop();
  notices.show({ level: "warning", code: "reader", message: `This browser can no longer find faces itself: ${problem}. The camera is off. To continue, images would be sent to the server.` });
  ask();
}

// The model, the camera or the use of its images is not the one to which the player agreed: ask again.
function beginAgain() {
  stop();
  begin();
}

function onLost({ words }) {
  const action = { words: "Try again now", act: () => connection.retry() };
  notices.show({ level: "error", code: "server_away", message: `${words} Nothing is sent until then.` }, action);
  if (!about) return;
  sight.stop();
  forget();
  onState(UNKNOWN);
  showLight();
}

// ---- consent

async function ask() {
  const asked = ++asks;
  if (about.inference === "browser") $("waiting-for").textContent = "Loading the network into this browser …";
  await sight.prepare();
  if (asked !== asks) return;
  $("waiting").hidden = $("live").hidden = true;
  $("consent").hidden = false;
  $("frames-go").textContent = FRAMES_GO[sight.place];
  const { place, problem } = sight;
  const form = consentForm({ model: about.model, camera: about.camera, place, problem, stop: $("stop").textContent, without: WITHOUT, onAgree: agreed, onDecline: () => showLive(OFF) });
  $("consent").replaceChildren(form);
  scrollTo(0, 0);
  form.querySelector("h1").focus({ preventScroll: true });
}

function showLive(instead) {
  $("waiting").hidden = $("consent").hidden = true;
  $("consent").replaceChildren();
  $("live").hidden = false;
  scrollTo(0, 0);
  showInstead(instead);
}

async function agreed() {
  mode = "starting";
  showLive(STARTING);
  showLight();
  try {
    if (about.camera === "client" && !(await camera.start())) return;
  } catch (error) {
    if (!(error instanceof NoCamera)) throw error;
    return stop(error);
  }
  mode = "on";
  connection.consent(true);
  $("video").hidden = about.camera === "server";
  $("image").hidden = about.camera === "client";
  $("frame").classList.toggle("mirrored", about.camera === "client");
  fit($("video").videoWidth, $("video").videoHeight);
  $("instead").hidden = true;
  $("frame").hidden = false;
  resume();
  showLight();
  $("stage").focus(); // not a button: a second Enter would switch the camera off
}

// ---- running

function resume() {
  if (about.camera === "client" && mode === "on" && connection.ready) sight.start();
  lastAnswer = performance.now();
}

function pause() {
  mode = mode === "paused" ? "on" : "paused";
  if (about.camera === "client") camera.rest(mode === "paused");
  else connection.consent(mode === "on");
  if (mode === "paused") sight.stop();
  forget();
  resume();
  showLight();
}

// Releases the camera and withdraws the consent. error: the reason, unless the player stopped it.
function stop(error = null) {
  mode = "off";
  sight.stop();
  camera.stop();
  if (connection.agreed) connection.consent(false);
  forget();
  $("frame").hidden = true;
  $("nobody").textContent = "The camera is off.";
  showInstead(error ? { title: error.title, words: `${error.message} ${error.lead}`, command: error.command, again: "Read, agree and try again" } : OFF);
  showLight();
}

// Removes all results of the camera from the page.
function forget() {
  boxes.show([], colors, false);
  cards.show([], []);
  $("absent").hidden = true;
  $("nobody").hidden = false;
  $("nobody").textContent = mode === "paused" ? "Paused." : "No images are being used.";
  timeline.look(null);
  meters.clear();
}

function onFaces({ frame, width, height, faces, dropped, milliseconds }) {
  const latency = about.camera === "client" ? sight.answered(frame) : milliseconds.total;
  if (mode !== "on") return;
  lastAnswer = performance.now();
  fit(width, height);
  boxes.show(faces, colors, about.camera === "client", about.min_confidence);
  cards.show(faces, about.model.classes, about.min_confidence);
  $("nobody").hidden = faces.length > 0;
  $("absent").hidden = faces.length > 0;
  $("nobody").textContent = "No face in the image.";
  showOver();
  const [largest] = bySize(faces.filter(({ doubt }) => !doubt));
  timeline.look(largest?.smoothed ?? null);
  meters.answered(latency, milliseconds, dropped);
}

function onNotice(notice) {
  notices.show(notice);
  if (notice.code === "camera_lost") onSource(true);
  if (notice.code === "camera_back") onSource(false);
}

// Records whether the server's camera is lost.
function onSource(isLost) {
  lost = isLost;
  if (lost) forget();
  else notices.drop("camera_lost");
  showLight();
}

// Shows a frame of the server's camera; its faces follow.
async function onImage(jpeg) {
  if (mode !== "on" || about.camera !== "server") return;
  const image = await createImageBitmap(jpeg).catch(() => null);
  if (!image || mode !== "on") return;
  $("image").width = image.width;
  $("image").height = image.height;
  $("image").getContext("2d").drawImage(image, 0, 0);
  image.close();
}

function fit(width, height) {
  if (width && height) $("frame").style.setProperty("--ratio", width / height);
}

function onState({ state, confidence, probabilities, reasons }) {
  const place = $("state");
  if (place.dataset.state !== state) $("state-said").textContent = state === "unknown" ? "The player’s state is unknown" : `The player seems ${state}`;
  place.dataset.state = state;
  place.textContent = state;
  $("confidence").textContent = state === "unknown" ? "" : `confidence ${percent(confidence)}`;
  for (const [name, { track, number }] of states) {
    track.style.setProperty("--share", probabilities[name] ?? 0);
    number.textContent = name in probabilities ? percent(probabilities[name]) : "–";
  }
  $("reasons").replaceChildren(...reasons.map((words) => element("li", { textContent: words })));
  timeline.state(state, confidence);
}

// ---- what is shown

function showLight() {
  const on = mode === "on" || mode === "paused";
  const light = !on ? "off" : mode === "on" && connection.ready && !lost ? "on" : "paused";
  const words = (LIGHTS[about?.camera] ?? LIGHTS.client)[light === "paused" && mode === "on" && connection.ready ? "lost" : light];
  $("light").dataset.camera = light;
  $("light").textContent = words;
  document.title = on ? `${light === "on" ? "●" : "◐"} ${words} · Live` : "Live";
  $("pause").hidden = !on;
  $("pause").setAttribute("aria-pressed", String(mode === "paused"));
  $("pause").textContent = mode === "paused" ? "Continue" : "Pause";
  $("stop").hidden = mode === "off";
  $("live").classList.toggle("blind", mode === "off");
  showOver();
}

function showOver() {
  const words = mode === "paused" ? "Paused" : !connection.ready ? "Waiting for the server" : lost ? "No image" : "";
  $("over").hidden = !words;
  $("over").textContent = words;
}

function showInstead({ title, words, command = "", again = "" }) {
  $("frame").hidden = true;
  const place = $("instead");
  place.hidden = false;
  place.querySelector("h2").textContent = title;
  place.querySelector("p").textContent = words;
  place.querySelector("pre").hidden = !command;
  place.querySelector("code").textContent = command;
  $("switch-on").hidden = !again;
  $("switch-on").textContent = again;
  place.focus({ preventScroll: true });
}

function showKey(classes) {
  $("key").replaceChildren(...classes.map(({ name, color }) => keyItem(name, color)));
}

function keyItem(name, color) {
  const item = element("li", { textContent: name });
  item.style.setProperty("--c", color);
  return item;
}

function showStates() {
  for (const name of STATES) {
    const track = bar(0, `var(--${name})`);
    const number = element("span", { textContent: "–" });
    states.set(name, { track, number });
    $("states-key").append(keyItem(name, `var(--${name})`));
    $("states").append(element("li", {}, element("span", { textContent: name }), track, number));
  }
}

// ---- start

$("pause").addEventListener("click", pause);
$("stop").addEventListener("click", () => stop());
$("switch-on").addEventListener("click", ask);
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("words").value.trim();
  if (text && connection.text(text)) $("words").value = "";
});
addEventListener("pagehide", () => mode !== "off" && stop());
setInterval(() => {
  meters.show();
  if (mode === "on" && connection.ready && performance.now() - lastAnswer > STALE_MS) forget();
}, 500);
showStates();
showLight();
connection.addEventListener("welcome", ({ detail }) => onWelcome(detail));
connection.addEventListener("faces", ({ detail }) => onFaces(detail));
connection.addEventListener("state", ({ detail }) => onState(detail));
connection.addEventListener("image", ({ detail }) => onImage(detail));
connection.addEventListener("notice", ({ detail }) => onNotice(detail));
connection.addEventListener("lost", ({ detail }) => onLost(detail));
connection.open();
