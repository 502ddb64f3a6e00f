// Information and consent before the camera is switched on: the same text on every page.

import { bar, element, percent } from "./elements.js";

const LAW = "https://eur-lex.europa.eu/eli/reg/2024/1689/oj#art_5";
const FERPLUS = "https://github.com/microsoft/FERPlus";
const WITH_FER2013 = new Set(["fer2013", "learning_game", "learning_game_distracted"]); // names of training data
const OF_FER2013 = new Set(["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]);
const GREY = "#777777";

// Returns a form with the facts and two buttons of the same size. Put it into a page or a dialog.
//   model          model of the server's welcome
//   camera         "client" or "server": the owner of the camera
//   place          where the faces of the client's camera are found: "browser", "server", or "page" without a server
//   problem        reason why this browser cannot find them, or ""
//   stop           words of the page's button that switches the camera off
//   heading        "h1" in a page, "h2" in a dialog
//   without        sentence about the page without the camera: "The game works without it."
//   onAgree()      called when the box is checked and the button pressed; never before
//   onDecline()    called when the player refuses
export function consentForm({ model, camera, place, problem = "", stop, heading = "h1", without, onAgree, onDecline }) {
  const title = element(heading, { id: "consent-title", tabIndex: -1, textContent: "Before the camera is switched on" });
  const box = element("input", { type: "checkbox", name: "agree" });
  const agree = element("button", { type: "submit", className: "strong", textContent: "Switch the camera on", disabled: true });
  const decline = element("button", { type: "button", textContent: "Keep it off" });
  box.addEventListener("change", () => (agree.disabled = !box.checked));
  decline.addEventListener("click", () => onDecline());
  const form = element(
    "form",
    { className: "consent" },
    title,
    element("p", { className: "lead", textContent: `The camera is off, and no image has been used so far. Read this, then decide. ${without}` }),
    element("div", { className: "points" }, ...points(camera === "server" ? "camera" : place, problem, stop), limits(model)),
    element(
      "div",
      { className: "decision" },
      element("label", { className: "agree" }, box, element("span", { textContent: "I am an adult and I agree that images of my face are used as described here." })),
      element("div", { className: "buttons" }, decline, agree),
    ),
  );
  form.setAttribute("aria-labelledby", "consent-title");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!box.checked) return;
    box.checked = false; // once
    onAgree();
  });
  return form;
}

// How faces are found, by the machine that finds them: the camera's own server, the server or the browser.
const SOURCES = {
  camera: "The server uses its own camera or video, and shows its images on this page. It finds faces in these images",
  server: "This page sends about five small images per second to the server. The server finds faces in each image",
  browser: "This page finds faces in the images of your camera, on your own device,",
  page: "This page finds faces in the images of your camera, on your own device,",
};
const STORED = "It writes nothing about you to disk. All data of a session are deleted when the session ends. If you use a tunnel, the server is the machine at the other end of the tunnel.";

const TO_SERVER = (server) => ["The images go only to the server of this page, ", server, `. It stores no image. ${STORED}`];
const DESTINATIONS = {
  camera: TO_SERVER,
  server: TO_SERVER,
  browser: (server) => ["No image leaves this page. It sends only the position of each face and the predicted probabilities to its server, ", server, `. ${STORED}`],
  page: () => ["No image and no result leaves this page. It has no server that could receive them, and stores nothing."],
};

function points(place, problem, stop) {
  const server = element("strong", { textContent: location.host });
  const instead = problem ? `This browser cannot find the faces itself (${problem}), so the server does it. ` : "";
  return [
    point("What happens with the images", [
      `${instead}${SOURCES[place]} and reduces each face to a small image, such as 48\u00a0×\u00a048 grey pixels. A network then predicts the word that most people `,
      `would choose for the expression.${place === "browser" || place === "page" ? " It runs in this browser, too." : ""} Several faces are separated only by their position. Nobody is identified.`,
    ]),
    point("Where the images go", DESTINATIONS[place](server)),
    point("A face is not a feeling", [
      "The word describes how you look in an image, not what you feel. Nobody can read a feeling from a face with certainty, ",
      "and the numbers on this page cannot do it, either.",
    ]),
    point("What the law says", [
      link(LAW, "Article 5(1)(f) of the EU’s AI Act"),
      " forbids systems that infer emotions at work and in education, except for medical or safety reasons. This is a research ",
      "demonstration for adults who agree. Do not use it in a class, at work, or to judge anybody.",
    ]),
    point("You can stop at any time", [
      `A light shows when the camera is on. The button “${stop}” switches the camera off at once and withdraws your consent.`,
    ]),
  ];
}

// Returns what the model cannot do, with its accuracy.
export function limits(model) {
  const measured = model.classes.some(({ name }) => typeof model.recall[name] === "number");
  const bars = model.classes.map(({ name, color }) => recall(name, color, model.recall[name] ?? null));
  return element(
    "section",
    { className: "limits" },
    element("h3", { textContent: "What the model cannot do" }),
    accuracy(model.accuracy),
    measured ? element("p", { className: "small", textContent: "Share of the test faces of each expression that it labels correctly:" }) : null,
    measured ? element("ul", { className: "recall" }, ...bars) : null,
    element(
      "p",
      {},
      ...learnedFrom(model),
      " It may be wrong much more often on your face, in your light, or with glasses, a beard or a hand over your mouth. Its ",
      "errors also differ between people, ages and cultures.",
    ),
    element("p", { className: "small" }, "Model: ", element("code", { textContent: model.name })),
  );
}

// Returns whose faces the model learned from, as words and elements.
export function learnedFrom({ data, classes }) {
  if (data === "synthetic") return ["It learned from faces drawn by a program and is not valid for real faces."];
  if (!WITH_FER2013.has(data)) return ["This page does not know whose faces the model learned from, or who labelled them."];
  const own = classes.map(({ name }) => name).filter((name) => !OF_FER2013.has(name));
  return [
    own.length
      ? `The model learned ${new Intl.ListFormat("en").format(own)} from other images than those of FER2013, and this page does not know whose faces they show. Most faces of its other classes come from FER2013 and were found by web searches.`
      : "The model learned from faces that were found by web searches.",
    " Many of them were posed, and other people labelled them. When ten people ",
    link(FERPLUS, "labelled them again"),
    ", they agreed with 62\u202f% of FER2013’s test labels.",
  ];
}

function accuracy(share) {
  if (share === null) return element("p", { textContent: "The accuracy of this model was not measured. Trust it even less." });
  const words = `of its test faces get the right word. It is wrong on the other ${percent(1 - share)}.`;
  return element("p", { className: "accuracy" }, element("strong", { textContent: percent(share) }), element("span", { textContent: words }));
}

function recall(name, color, share) {
  const words = share === null ? "unknown" : percent(share);
  return element("li", {}, element("span", { textContent: name }), bar(share ?? 0, color ?? GREY), element("span", { textContent: words }));
}

function point(title, words) {
  return element("section", {}, element("h3", { textContent: title }), element("p", {}, ...words));
}

function link(address, words) {
  const made = element("a", { href: address, target: "_blank", rel: "noopener noreferrer", textContent: words });
  made.append(element("span", { className: "unseen", textContent: " (opens in a new tab)" }));
  return made;
}
