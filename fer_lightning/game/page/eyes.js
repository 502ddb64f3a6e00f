// Whether Bit may watch: the consent, the camera and the light. Off until the player agrees, and again after a stop.

import { Camera, NoCamera } from "/shared/camera.js";
import { Sender } from "/shared/sender.js";
import { consentForm } from "/shared/consent.js";

const FRAMES_PER_SECOND = 5;
const LONGEST_SIDE = 640;
const WITHOUT = "The game works just as well without the camera.";

const $ = (id) => document.getElementById(id);

export class Eyes {
  #connection;
  #said;
  #changed;
  #camera;
  #sender = null;
  #mode = "off"; // off, starting or on
  #blind = false; // the server's own camera gives no pictures
  #resting = false; // in a break nothing is looked at
  #about = null; // the model and the camera of the last welcome

  // said(words): what the player should hear; changed(watches): whether anything is looked at.
  constructor(connection, { said, changed }) {
    this.#connection = connection;
    this.#said = said;
    this.#changed = changed;
    this.#camera = new Camera($("video"), ({ title, message }) => this.#fail(title, message));
    connection.addEventListener("welcome", () => this.#welcomed());
    connection.addEventListener("lost", () => this.#lost());
    connection.addEventListener("faces", ({ detail }) => this.#sender?.answered(detail.frame));
    connection.addEventListener("picture", ({ detail }) => this.#paint(detail));
    connection.addEventListener("notice", ({ detail }) => this.#noticed(detail.code));
    $("consent").addEventListener("close", () => $("consent").replaceChildren());
    addEventListener("pagehide", () => this.stop());
  }

  get on() {
    return this.#mode === "on";
  }

  // Ask for consent; nothing is looked at before it is given.
  ask() {
    const { welcome, ready } = this.#connection;
    if (this.#mode !== "off") return this.#said("I am watching already. Say “stop watching”, and I stop.");
    if (!ready) return this.#said("I have no line to the server just now, so there is nobody who could look. Let’s go on without.");
    if (!welcome.model || welcome.camera === "none")
      return this.#said("This server runs without a model, so I cannot look at anything. I go by your answers and your words, and that works well.");
    const form = consentForm({
      model: welcome.model,
      camera: welcome.camera,
      heading: "h2",
      without: WITHOUT,
      onAgree: () => this.#agreed(),
      onDecline: () => $("consent").close(),
    });
    $("consent").replaceChildren(form);
    $("consent").showModal();
    form.querySelector("h2").focus();
  }

  // The camera and the consent end at once; -> whether there was anything to end.
  stop() {
    const before = this.#mode;
    this.#mode = "off";
    this.#sender?.stop();
    this.#camera.stop();
    this.#connection.consent(false);
    this.#show();
    return before !== "off";
  }

  rest(resting) {
    this.#resting = resting;
    if (this.on) this.#look();
  }

  async #agreed() {
    $("consent").close();
    this.#mode = "starting";
    try {
      if (this.#connection.welcome.camera === "client" && !(await this.#camera.start())) return;
    } catch (error) {
      if (!(error instanceof NoCamera)) throw error;
      return this.#fail(error.title, error.message);
    }
    this.#mode = "on";
    this.#look();
    const open = this.#resting ? "My lens opens after the break." : "My lens is open.";
    this.#said(`${open} Say “stop watching” whenever you like, and it shuts at once.`);
  }

  #look() {
    this.#camera.rest(this.#resting);
    this.#connection.consent(!this.#resting);
    if (this.#resting) this.#sender?.stop();
    else this.#send();
    this.#show();
  }

  #send() {
    const { camera, limits } = this.#connection.welcome;
    if (camera !== "client" || !this.#connection.ready || this.#resting) return;
    this.#sender ??= new Sender({
      take: () => this.#camera.jpeg(Math.min(LONGEST_SIDE, limits.frame_side)),
      send: (jpeg) => this.#connection.frame(jpeg),
      perSecond: Math.min(FRAMES_PER_SECOND, limits.frames_per_second),
    });
    this.#sender.start();
  }

  // What was agreed to holds for the same model and the same camera alone.
  #welcomed() {
    const { model, camera } = this.#connection.welcome;
    this.#blind = false; // else a notice follows
    const about = JSON.stringify([model, camera]);
    const same = about === this.#about;
    this.#about = about;
    if (!same) return this.#forgo();
    if (!this.on) return;
    this.#send();
    this.#show();
  }

  #noticed(code) {
    if (code !== "camera_lost" && code !== "camera_back") return;
    this.#blind = code === "camera_lost";
    this.#show();
  }

  #forgo() {
    const asking = $("consent").open;
    if (asking) $("consent").close();
    if (this.#mode === "off" && !asking) return;
    this.stop();
    this.#said("The server came back with another model or camera, so my lens is shut. Ask me to watch again if you like.");
  }

  #lost() {
    this.#sender?.stop();
    this.#show();
  }

  #fail(title, words) {
    this.stop();
    this.#said(`${title}. ${words} The game goes on without it.`);
  }

  async #paint(jpeg) {
    if (!this.on || this.#resting) return;
    const picture = await createImageBitmap(jpeg).catch(() => null);
    if (!picture) return;
    Object.assign($("picture"), { width: picture.width, height: picture.height });
    $("picture").getContext("2d").drawImage(picture, 0, 0);
    picture.close();
  }

  #show() {
    const sends = this.on && !this.#resting && this.#connection.ready;
    const server = this.#connection.welcome?.camera === "server";
    const blind = sends && this.#blind;
    $("light").dataset.camera = !this.on ? "off" : sends && !blind ? "on" : "paused";
    $("light").textContent = !this.on ? "Camera off" : blind ? "Server’s camera: no picture" : sends ? "Camera on" : "Camera on, nothing is sent";
    $("watch").textContent = this.on ? "Stop watching" : "Let Bit watch …";
    document.title = `${this.on ? (sends ? "● " : "◐ ") : ""}Bit by Bit`;
    $("view").hidden = !this.on;
    $("video").hidden = server;
    $("picture").hidden = !server;
    $("view").classList.toggle("resting", !sends || blind);
    $("view").querySelector("figcaption").textContent = blind ? "No picture" : sends ? "What Bit sees" : "Nothing is sent";
    this.#changed(sends);
  }
}
