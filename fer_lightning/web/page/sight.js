// The player's frames: this browser reads them and sends only the result, or it sends them as images to the server.

import { Reader } from "/faces/reader.js";
import { about } from "./connection.js";
import { Sender } from "./sender.js";

const FILES = { detector: "/files/detector.onnx", model: "/files/model.onnx" };
const LONGEST_SIDE = 640;

export class Sight {
  #camera;
  #connection;
  #perSecond;
  #failed;
  #reader = null;
  #sender = null;
  #for = ""; // what the last `prepare` was for
  #prepared = null;
  place = "server"; // "browser": no image leaves this page; "server": images are sent
  problem = ""; // reason why this browser cannot read frames

  // camera: Camera; connection: Connection; perSecond: maximum frames per second {browser, server};
  // failed(problem): called when the browser cannot read frames any longer. Ask the player again: images would be sent.
  constructor({ camera, connection, perSecond, failed }) {
    [this.#camera, this.#connection, this.#perSecond, this.#failed] = [camera, connection, perSecond, failed];
  }

  // Loads the networks if this server lets the browser read frames. Call it after each welcome, before the consent.
  prepare() {
    const { welcome } = this.#connection;
    if (about(welcome) !== this.#for) {
      this.close();
      this.#for = about(welcome);
      this.#prepared = this.#open(welcome);
    }
    return this.#prepared;
  }

  async #open({ camera, inference, detection }) {
    if (camera !== "client" || inference !== "browser") return;
    const wanted = this.#for;
    const opened = await Reader.open({ ...FILES, ...detection }).catch((error) => error);
    if (wanted !== this.#for) return opened.close?.();
    if (opened instanceof Error) this.problem = opened.message;
    else [this.#reader, this.place] = [opened, "browser"];
  }

  start() {
    const { limits } = this.#connection.welcome;
    const side = Math.min(LONGEST_SIDE, limits.frame_side);
    const perSecond = Math.min(this.#perSecond[this.place], limits.frames_per_second);
    this.stop();
    this.#sender =
      this.place === "browser"
        ? new Sender({ take: () => this.#read(side), send: (look) => this.#connection.look(look), perSecond })
        : new Sender({ take: () => this.#camera.jpeg(side), send: (jpeg) => this.#connection.frame(jpeg), perSecond });
    this.#sender.start();
  }

  stop() {
    this.#sender?.stop();
    this.#sender = null;
  }

  // Records the answer to a frame. Returns the milliseconds since its image was taken, or null if it counted as lost.
  answered(frame) {
    return this.#sender?.answered(frame) ?? null;
  }

  close() {
    this.stop();
    this.#reader?.close();
    this.#reader = null;
    Object.assign(this, { place: "server", problem: "" });
    this.#for = "";
  }

  async #read(side) {
    const image = this.#camera.pixels(side);
    const reader = this.#reader;
    if (!image || !reader) return null;
    const look = await reader.read(image).catch((error) => error);
    if (!(look instanceof Error)) return look;
    if (reader === this.#reader) this.#broke(look.message);
    return null;
  }

  #broke(problem) {
    this.stop();
    this.#reader.close();
    this.#reader = null;
    Object.assign(this, { place: "server", problem }); // it is not tried again for the same model
    this.#failed(problem);
  }
}
