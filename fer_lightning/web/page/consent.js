// What a player reads and agrees to before the camera is switched on: the same words on every page.

import { bar, element, percent } from "/shared/elements.js";

const LAW = "https://eur-lex.europa.eu/eli/reg/2024/1689/oj#art_5";
const FERPLUS = "https://github.com/microsoft/FERPlus";
const WITH_FER2013 = new Set(["fer2013", "learning_game", "learning_game_distracted"]); // names of data
const GREY = "#777777";

// A form with the facts and two buttons of the same size. Put it into a page or a dialog.
//   model          of the server's welcome
//   camera         "client" or "server": whose it is
//   heading        "h1" in a page, "h2" in a dialog
//   without        what happens without the camera, in words: "The game works without it."
//   onAgree()      when the box is ticked and the button pressed; never before
//   onDecline()
export function consentForm({ model, camera, heading = "h1", without, onAgree, onDecline }) {
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
    element("p", { className: "lead", textContent: `Nothing has been looked at so far. Read this, then decide. ${without}` }),
    element("div", { className: "points" }, ...points(camera), limits(model)),
    element(
      "div",
      { className: "decision" },
      element("label", { className: "agree" }, box, element("span", { textContent: "I am an adult and I agree that my face is looked at in this way." })),
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

function points(camera) {
  const server = element("strong", { textContent: location.host });
  const source =
    camera === "server"
      ? "The camera or video is the server’s own: it is looked at there, and shown on this page. Faces are found in its pictures"
      : "About five small pictures a second leave this page. Faces are found in each";
  return [
    point("What is looked at", [
      `${source}, cut out at 48\u00a0×\u00a048 grey pixels, and a network says which word people would put to the `,
      "expression. Several faces are told apart by their place alone: nobody is recognised.",
    ]),
    point("Where it goes", [
      "To the server of this page, ",
      server,
      ", and no further. It keeps no picture and writes nothing about you to disk; what it has of a session is gone when the ",
      "session ends. Behind a tunnel, the server is the machine at its other end.",
    ]),
    point("A face is not a feeling", [
      "The word says what a picture of you looks like, not what you feel. Nobody can read that from a face for certain, and no ",
      "number here does.",
    ]),
    point("What the law says", [
      link(LAW, "Article 5(1)(f) of the EU’s AI Act"),
      " forbids systems that infer emotions at work and in education, except for medical or safety reasons. This is a research ",
      "demonstration for adults who agree. Do not use it in a class, at work, or to judge anybody.",
    ]),
    point("You can stop at any time", [
      "A light shows when the camera is on. Stop switches it off at once and takes back what you agreed to.",
    ]),
  ];
}

function limits(model) {
  const measured = model.classes.some(({ name }) => typeof model.recall[name] === "number");
  const bars = model.classes.map(({ name, color }) => recall(name, color, model.recall[name] ?? null));
  return element(
    "section",
    { className: "limits" },
    element("h3", { textContent: "What the model cannot do" }),
    accuracy(model.accuracy),
    measured ? element("p", { className: "small", textContent: "Of each expression’s test faces it finds:" }) : null,
    measured ? element("ul", { className: "recall" }, ...bars) : null,
    element(
      "p",
      {},
      ...learntFrom(model.data),
      " On your face, in your light, with glasses, a beard or a hand before the mouth it may be wrong far more often, and how often ",
      "differs between people, ages and cultures.",
    ),
    element("p", { className: "small" }, "Model: ", element("code", { textContent: model.name })),
  );
}

function learntFrom(data) {
  if (data === "synthetic") return ["It learnt from faces that a program drew, and knows nothing of real ones."];
  if (!WITH_FER2013.has(data)) return ["Who the faces that it learnt from belong to, and who labelled them, is not known here."];
  return [
    "The faces that it learnt from were mostly posed, found by web searches and labelled by others: ten people’s ",
    link(FERPLUS, "second look"),
    " agrees with 62\u202f% of FER2013’s test labels.",
  ];
}

function accuracy(share) {
  if (share === null) return element("p", { textContent: "How often it is right was not measured for this model: trust it less still." });
  const words = `of its test faces get the right word, so it is wrong on ${percent(1 - share)} of them.`;
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
