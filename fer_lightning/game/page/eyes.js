// Bit's eyes: the consent, the camera and the light. They are off until the player agrees, and off again after a stop.

import { Camera, NoCamera } from "/shared/camera.js";
import { about } from "/shared/connection.js";
import { Sight } from "/shared/sight.js";
import { consentForm } from "/shared/consent.js";

const FRAMES_PER_SECOND = { browser: 5, server: 5 };
const STOP = "Stop watching"; // words of the button that switches the camera off
const WITHOUT = "The game works just as well without the camera.";

const $ = (id) => document.getElementById(id);

export class Eyes {
  #connection;
  #said;
  #changed;
  #camera;
  #sight;
  #mode = "off"; // off, starting or on
  #blind = false; // the server's own camera gives no images
  #resting = false; // true during a break, in which no image is used
  #about = null; // what the last welcome offers
  #asking = false; // true while the networks are loaded for the question

  // said(words): shows a text to the player; changed(watches): called when Bit starts or stops watching.
  constructor(connection, { said, changed }) {
    this.#connection = connection;
    this.#said = said;
    this.#changed = changed;
    this.#camera = new Camera($("video"), ({ title, message }) => this.#fail(title, message));
    this.#sight = new Sight({ camera: this.#camera, connection, perSecond: FRAMES_PER_SECOND, failed: (problem) => this.#broke(problem) });
    connection.addEventListener("welcome", () => this.#welcomed());
    connection.addEventListener("lost", () => this.#lost());
    connection.addEventListener("faces", ({ detail }) => this.#sight.answered(detail.frame));
    connection.addEventListener("image", ({ detail }) => this.#paint(detail));
    connection.addEventListener("notice", ({ detail }) => this.#noticed(detail.code));
    $("consent").addEventListener("close", () => $("consent").replaceChildren());
    addEventListener("pagehide", () => this.stop());
  }

  get on() {
    return this.#mode === "on";
  }

  // Asks for consent; no image is used before the player agrees.
  async ask() {
    const { welcome, ready } = this.#connection;
    if (this.#mode !== "off") return this.#said("I am already watching. Type “stop watching”, and I will stop.");
    if (!ready) return this.#said("The server is not reachable right now, so I cannot use the camera. Let’s play without it.");
    if (!welcome.model || welcome.camera === "none")
      return this.#said("This server runs without a model, so I cannot use the camera. I use your answers and your words, and that works well.");
    if (this.#asking) return;
    this.#asking = true;
    this.#show();
    await this.#sight.prepare();
    this.#asking = false;
    this.#show();
    if (this.#mode !== "off" || about(welcome) !== this.#about) return;
    const form = consentForm({
      model: welcome.model,
      camera: welcome.camera,
      place: this.#sight.place,
      problem: this.#sight.problem,
      heading: "h2",
      stop: STOP,
      without: WITHOUT,
      onAgree: () => this.#agreed(),
      onDecline: () => $("consent").close(),
    });
    $("consent").replaceChildren(form);
    $("consent").showModal();
    form.querySelector("h2").focus();
  }

  // Stops the camera and withdraws the consent at once. Returns true if the camera was on or starting.
  stop() {
    const before = this.#mode;
    this.#mode = "off";
    this.#sight.stop();
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
    const open = this.#resting ? "I will use the camera after the break." : "The camera is on. Thank you for your trust!";
    this.#said(`${open} Type “stop watching” whenever you like, and I will switch it off at once.`);
  }

  #look() {
    this.#camera.rest(this.#resting);
    this.#connection.consent(!this.#resting);
    if (this.#resting) this.#sight.stop();
    else this.#send();
    this.#show();
  }

  #send() {
    if (this.#connection.welcome.camera !== "client" || !this.#connection.ready || this.#resting) return;
    this.#sight.start();
  }

  // The consent is valid only for the same model, camera and use of its images.
  #welcomed() {
    const offered = about(this.#connection.welcome);
    this.#blind = false; // if the camera is still lost, a notice follows
    const same = offered === this.#about;
    this.#about = offered;
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
    this.#said("The server is back with another model or camera, so I switched the camera off. Ask me to watch again if you like.");
  }

  #broke(problem) {
    this.stop();
    this.#said(`I can no longer look by myself in this browser: ${problem}. The camera is off. If you ask me to watch again, I would send images to the server.`);
  }

  #lost() {
    this.#sight.stop();
    this.#show();
  }

  #fail(title, words) {
    this.stop();
    this.#said(`${title}. ${words} The game continues without it.`);
  }

  async #paint(jpeg) {
    if (!this.on || this.#resting) return;
    const image = await createImageBitmap(jpeg).catch(() => null);
    if (!image) return;
    Object.assign($("image"), { width: image.width, height: image.height });
    $("image").getContext("2d").drawImage(image, 0, 0);
    image.close();
  }

  #show() {
    const sends = this.on && !this.#resting && this.#connection.ready;
    const server = this.#connection.welcome?.camera === "server";
    const blind = sends && this.#blind;
    $("light").dataset.camera = !this.on ? "off" : sends && !blind ? "on" : "paused";
    $("light").textContent = !this.on ? "Camera off" : blind ? "Server’s camera: no image" : sends ? "Camera on" : "Camera on, nothing is sent";
    $("watch").textContent = this.on ? STOP : this.#asking ? "Loading …" : "Let Bit watch …";
    document.title = `${this.on ? (sends ? "● " : "◐ ") : ""}Bit by Bit`;
    $("view").hidden = !this.on;
    $("video").hidden = server;
    $("image").hidden = !server;
    $("view").classList.toggle("resting", !sends || blind);
    $("view").querySelector("figcaption").textContent = blind ? "No image" : sends ? "What Bit sees" : "Nothing is sent";
    this.#changed(sends);
  }
}
