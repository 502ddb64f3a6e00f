// The side panel with image and facts of one face, and the cache of details and images that are loaded in advance.

import { element } from "/shared/elements.js";
import { ask } from "./outbox.js";

const MOST_IMAGES = 24; // maximum decoded images in the cache
const LICENCES = { cc0: "CC0", pdm: "public domain", own: "own image", unknown: "licence unknown" };

export function cropAddress(face, crop) {
  return `/img/crop/${face}-${crop}.png`;
}

// Cache of details by face, and of their images, which are decoded before they are shown.
export class Shelf {
  #details = new Map();
  #asked = new Set();
  #images = new Map();
  #failed;

  // failed() is called if a request fails.
  constructor(failed) {
    this.#failed = failed;
  }

  details(face) {
    return this.#details.get(face);
  }

  async load(faces) {
    const missing = faces.filter((face) => !this.#details.has(face) && !this.#asked.has(face));
    if (!missing.length) return;
    missing.forEach((face) => this.#asked.add(face));
    const { status, body } = await ask(`/api/faces?ids=${missing}`);
    missing.forEach((face) => this.#asked.delete(face));
    if (status !== 200) return this.#failed();
    missing.forEach((face) => this.#details.set(face, body[face] ?? null));
  }

  // Return the image that the face was cropped from; loading and decoding start at once.
  image(face) {
    const details = this.#details.get(face);
    if (!details) return null;
    const held = this.#images.get(face) ?? this.#fetch(face, details);
    this.#images.delete(face);
    this.#images.set(face, held);
    if (this.#images.size > MOST_IMAGES) this.#images.delete(this.#images.keys().next().value);
    return held;
  }

  #fetch(face, { file, width, height }) {
    const image = element("img", { width, height, decoding: "sync" });
    image.src = `/img/source/${face}-${file}`;
    image.decode().catch(() => {
      this.#images.delete(face);
      if (image.naturalWidth) return;
      image.dataset.failed = "yes";
      this.#failed();
    });
    return image;
  }
}

// Show the image with the square of its crop.
export function showImage(frame, image, details, title) {
  const [x, y, width, height] = details.crop_box;
  const box = element("i", { className: "box" });
  box.style.setProperty("left", `${(100 * x) / details.width}%`);
  box.style.setProperty("top", `${(100 * y) / details.height}%`);
  box.style.setProperty("width", `${(100 * width) / details.width}%`);
  box.style.setProperty("height", `${(100 * height) / details.height}%`);
  frame.style.setProperty("--ratio", details.width / details.height);
  image.alt = title ? `Image: ${title}` : "The image that the face was cropped from";
  frame.replaceChildren(image, box);
}

export function showFacts(list, details, blind) {
  const [source, ...others] = details.sources;
  const queries = details.queries.map(({ query, language }) => (language && language !== "und" ? `${query} (${language})` : query));
  list.replaceChildren(
    ...fact("Title", source?.title),
    ...fact("Found by", [...new Set(queries)].join(", ")),
    ...fact("From", source && origin(source)),
    ...fact("Creator", source && link(source.creator, source.creator_url)),
    ...fact("Licence", source && licence(source)),
    ...fact("Restrictions", source?.restrictions),
    ...fact("Also from", others.length && !blind ? others.map(origin) : null),
    ...fact("Detector", `score ${details.score.toFixed(2)}, ${Math.round(details.face_px)} px wide`),
    ...fact("Which face", !details.ambiguous && details.n_faces > 1 ? `the largest of ${details.n_faces}` : null),
    ...fact("Image id", element("code", { textContent: details.image.slice(0, 12), title: details.image })),
  );
}

function fact(name, value) {
  if (!value) return [];
  const values = [value].flat().map((one) => element("span", {}, one));
  return [element("dt", { textContent: name }), element("dd", {}, ...values)];
}

function origin({ provider, landing_url: address }) {
  if (!address) return provider;
  return link(`${provider}: ${new URL(address).hostname}`, address);
}

function link(text, address) {
  if (!address) return text;
  const made = element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text || address);
  made.append(element("span", { className: "unseen", textContent: " (opens in a new tab)" }));
  return made;
}

function licence({ licence: code, licence_version: version, licence_url: address }) {
  const name = LICENCES[code] ?? (code ? `CC ${code.toUpperCase()}` : "licence unknown");
  return link(version && code?.startsWith("by") ? `${name} ${version}` : name, address);
}

// Show warnings: other faces in the image, a similar row of FER2013, and similar faces of the collection.
// state(face) returns the decision about a similar face.
export function showFlags(parent, details, state) {
  const { ambiguous, n_faces: count, fer2013, alike } = details;
  const warnings = [
    ambiguous && `The image has ${count} faces of about the same size. Check that this is the right one.`,
    fer2013.length && `Similar to a face of FER2013${fer2013[0].usage ? `, ${fer2013[0].usage}` : ""}: ${nearness(fer2013[0])}.`,
  ].filter(Boolean);
  const cards = alike.map((like) => {
    const image = element("img", { src: cropAddress(like.other, like.crop_id), width: 72, height: 72, alt: "A similar face" });
    const caption = element("figcaption", {}, `Similar to ${state(like.other)}`, element("br"), nearness(like));
    return element("figure", {}, element("div", { className: "still" }, image), caption);
  });
  parent.replaceChildren(...warnings.map((words) => element("p", { textContent: words })), ...cards);
}

function nearness({ kind, distance, mirrored }) {
  return `${kind === "picture" ? "images" : "crops"} differ in ${distance} of 64 bits${mirrored ? ", mirrored" : ""}`;
}
