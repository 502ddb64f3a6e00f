// The page that anyone can host: photographs and the camera, read in this browser. It has no server of its own.

import { doubt } from "../faces/quality.js";
import { Reader } from "../faces/reader.js";
import { Tracks } from "../faces/tracks.js";
import { Boxes } from "../live/boxes.js";
import { Faces } from "../live/faces.js";
import { Camera, NoCamera } from "../shared/camera.js";
import { consentForm, limits } from "../shared/consent.js";
import { labelOf } from "../shared/label.js";

const LONGEST_PHOTO = 4096; // pixels; browsers limit the size of a canvas
const LONGEST_FRAME = 640;
const DETECTION_SIDE = 320; // pixels of the longer side of the camera's frames for detection
const MOST = { photo: 100, camera: 8 }; // maximum number of faces
const PAUSE = 66; // milliseconds between two frames
const HELP = "Browsers give a camera only to https addresses and to this machine (localhost), and only if you allow it. Photographs work without a camera.";

const $ = (id) => document.getElementById(id);
const camera = new Camera($("video"), ({ title }) => stop(`${title}.`));
const boxes = new Boxes($("boxes"));
const cards = new Faces($("faces"), $("more"));
let about = null; // content of model.json
let colors = new Map();
let reader = null; // Promise of the Reader
let round = 0; // number of the current photograph or camera session

// ---- photographs

// note: sentence after the result.
async function showPhoto(file, note = "") {
  stop("Reading the image …");
  const mine = round;
  const image = await createImageBitmap(file).catch(() => null);
  if (mine !== round) return;
  if (!image) return say(`${file.name}: this browser cannot read it as an image. Choose a JPEG, PNG or WebP file.`);
  const pixels = draw(image);
  const { width, height } = pixels;
  view("photo", width, height);
  const look = await read("photo", pixels, null);
  if (mine !== round || !look) return;
  const faces = look.faces.map((face, index) => labelled(face, index + 1, face.probabilities, look, { ...about.rules.photo, ambiguous_area: Infinity }));
  present(faces, false);
  const words = faces.map((face) => (face.doubt ? `uncertain (${face.doubt})` : labelOf(face.smoothed, about.min_confidence).text));
  const result = `${faces.length} ${faces.length === 1 ? "face" : "faces"}: ${words.join(", ")}.`;
  say((faces.length ? result : "No face was found in this photograph.") + note);
}

// Draws an image over white. Returns its pixels.
function draw(image) {
  const scale = Math.min(1, LONGEST_PHOTO / Math.max(image.width, image.height));
  const canvas = Object.assign($("image"), { width: Math.round(image.width * scale), height: Math.round(image.height * scale) });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// ---- the camera

function ask() {
  const without = "Photographs work without the camera.";
  const onDecline = () => $("consent").close();
  const form = consentForm({ model: about.model, camera: "client", place: "page", heading: "h2", stop: $("stop").textContent, without, onAgree: start, onDecline });
  $("consent").replaceChildren(form);
  $("consent").showModal();
  form.querySelector("h2").focus();
}

async function start() {
  $("consent").close();
  stop("Waiting for the camera …");
  const mine = round;
  try {
    if (!(await camera.start())) return;
  } catch (error) {
    if (!(error instanceof NoCamera)) throw error;
    return stop(`${error.title}. ${HELP}`);
  }
  if (mine !== round) return;
  view("camera", $("video").videoWidth, $("video").videoHeight);
  say("The camera is on.");
  $("stop").focus();
  const tracks = new Tracks();
  while (mine === round) {
    const begun = performance.now();
    const image = camera.pixels(LONGEST_FRAME);
    const look = image && (await read("camera", image, DETECTION_SIDE));
    if (mine !== round) return;
    if (look) follow(look, tracks.update(begun / 1000, look.faces));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, begun + PAUSE - performance.now())));
  }
}

function follow(look, tracks) {
  present(look.faces.map((face, index) => labelled(face, tracks[index].id, tracks[index].smoothed, look, about.rules.camera)), true);
}

// Ends the current photograph or camera session, and releases the camera.
function stop(words) {
  round += 1;
  camera.stop();
  present([], false);
  $("nobody").textContent = "No face so far.";
  $("frame").hidden = $("stop").hidden = true;
  $("instead").hidden = $("choose").hidden = $("use-camera").hidden = false;
  showLight(false);
  say(words);
}

// ---- reading

async function read(kind, image, side) {
  reader ??= Reader.open({ ...about.files, long_side: null });
  say(kind === "photo" ? "Finding faces …" : $("status").textContent);
  const mine = round;
  try {
    return await (await reader).read(image, { ...about.rules[kind], long_side: side, most: MOST[kind] });
  } catch (error) {
    reader?.then((broken) => broken.close(), () => {});
    reader = null;
    if (mine === round) stop(`This browser cannot find faces: ${error.message}. Try a current version of Chrome, Edge, Firefox or Safari.`);
    return null;
  }
}

// Returns a face as the boxes and cards show it.
function labelled(face, id, smoothed, { width, height, faces }, rules) {
  const named = (shares) => Object.fromEntries(about.model.classes.map(({ name }, index) => [name, shares[index]]));
  const [x, y, across, down] = face.box;
  const box = [x / width, y / height, across / width, down / height];
  return { id, box, doubt: doubt(face, faces, rules), probabilities: named(face.probabilities), smoothed: named(smoothed) };
}

// ---- what is shown

function view(kind, width, height) {
  const live = kind === "camera";
  $("frame").style.setProperty("--ratio", width / height);
  $("frame").classList.toggle("mirrored", live);
  $("video").hidden = !live;
  $("image").hidden = live;
  $("frame").hidden = false;
  $("instead").hidden = true;
  $("bars").hidden = !live;
  $("stop").hidden = !live;
  $("choose").hidden = $("use-camera").hidden = live;
  showLight(live);
}

function showLight(on) {
  $("light").dataset.camera = on ? "on" : "off";
  $("light").textContent = on ? "Camera on" : "Camera off";
  document.title = `${on ? "● " : ""}Facial expressions`;
}

function present(faces, mirrored) {
  boxes.show(faces, colors, mirrored, about.min_confidence);
  cards.show(faces, about.model.classes, about.min_confidence);
  $("nobody").hidden = faces.length > 0;
  $("nobody").textContent = "No face in the image.";
}

function say(words) {
  if ($("status").textContent !== words) $("status").textContent = words;
}

// ---- start

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) showPhoto(file);
  $("file").value = ""; // the same file may be chosen again
});
$("use-camera").addEventListener("click", ask);
$("stop").addEventListener("click", () => {
  stop("The camera is off.");
  $("use-camera").focus();
});
$("consent").addEventListener("close", () => $("consent").replaceChildren());
addEventListener("pagehide", () => about && stop("The camera is off."));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
});
addEventListener("dragleave", () => $("stage").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  const [file, ...others] = event.dataTransfer.files;
  if (file && about) showPhoto(file, others.length ? ` Only the first of ${others.length + 1} files is shown.` : "");
});
about = await fetch("files/model.json").then((answer) => answer.json());
colors = new Map(about.model.classes.map(({ name, color }) => [name, color]));
$("about").append(limits(about.model));
$("card").textContent = await fetch(about.files.card).then((answer) => answer.text());
$("choose").disabled = $("use-camera").disabled = false;
say("Ready.");
