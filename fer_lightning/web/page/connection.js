// A client of the live protocol, version 2 (docs/protocol.md): one WebSocket that reconnects by itself.
//
//   const connection = new Connection({ client: "my game 1.0", level: 3 });
//   connection.addEventListener("difficulty", ({ detail }) => game.setLevel(detail.level, detail.reason));
//   connection.addEventListener("lost", ({ detail }) => game.say(detail.words));
//   connection.open();
//   connection.text("ugh");
//
// Events, with their content in `detail`:
//   welcome, faces, state, difficulty, notice   the server's message of that type, as parsed JSON
//   image     a Blob: a JPEG of the server's own camera; the next `faces` belong to it
//   lost      {words, seconds, locked, idle}: the server is unreachable or silent; the next attempt is in `seconds`. The
//             event may come again. `locked`: the server answers, but this browser must open the address that the
//             terminal printed. `idle`: the server ended the connection because the player did nothing for a long
//             time; the next attempt is at the player's next click or key, so `seconds` is null
//
// The server stores nothing about a connection that has ended. This class keeps what it sends again after a reconnect:
// the level, the adaptation switch, the player's own choice of the level, and the consent. The consent is valid only
// for the same model and the same camera; with another one `agreed` becomes false. Messages that are sent while the
// server is unreachable are lost; the game continues without it.

const FIRST_WAIT = 500; // milliseconds before the first new attempt
const LONGEST_WAIT = 10_000; // maximum milliseconds between two attempts
const PATIENCE = 10_000; // milliseconds without a message until the server counts as unreachable; it sends one a second
const ASKING = 2000; // maximum milliseconds to find out why the server is unreachable
const MOST_LETTERS = 500; // maximum number of characters of a text
const GONE = "The server is not reachable. This page keeps trying.";
const IDLE = "The server ended the connection, because you did nothing for a long time. Click or type to continue.";
const LOCKED = "The server does not know this browser. Open the address that its terminal printed.";

export class Connection extends EventTarget {
  #client;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #frames = 0;
  #wanted = false;
  #idle = false; // true: the server has said that it ends the connection of an idle player
  #agreedTo = ""; // model and camera of the consent
  welcome = null; // last welcome of the server, also while it is unreachable
  ready = false; // true while the server accepts messages
  level; // level of the game; null: the server chooses
  adapt; // true: adaptation is on
  held = false; // true: the player's own choice fixes the level
  agreed = false; // true: the player agreed to the camera

  constructor({ client, level = null, adapt = true }) {
    super();
    this.#client = client;
    this.level = level;
    this.adapt = adapt;
    addEventListener("online", () => this.retry());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  open() {
    this.#wanted = true;
    this.#connect();
  }

  // End the connection until the next `open`.
  close() {
    this.#wanted = false;
    this.ready = false;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#socket = null;
  }

  // Try again now, without waiting.
  retry() {
    if (this.#wanted && !this.#socket) this.#connect();
  }

  // The player agrees to the camera, or withdraws the consent. After that the server processes no further frame.
  consent(camera) {
    this.agreed = camera;
    this.#agreedTo = about(this.welcome);
    return this.#say({ type: "consent", camera });
  }

  text(text) {
    return this.#say({ type: "text", text: [...text].slice(0, MOST_LETTERS).join("") });
  }

  outcome({ correct, seconds, level }) {
    return this.#say({ type: "outcome", correct, seconds: Math.min(Math.max(seconds, 0), 86_400), level });
  }

  // -1, 0 or 1: one level down, stay, one level up; the level is then fixed. null returns the level to the server.
  override(change) {
    return this.#say({ type: "override", change });
  }

  setAdapt(on) {
    this.adapt = on;
    return this.#say({ type: "adapt", on });
  }

  // Sends one image of the camera, a Blob or ArrayBuffer of a JPEG. Returns its number in `faces.frame`; 0: not sent.
  frame(jpeg) {
    if (!this.ready || !this.agreed) return 0;
    this.#socket.send(jpeg);
    this.#frames += 1;
    return this.#frames;
  }

  // Sends the faces of one frame that this page read itself; see /faces/reader.js. Returns its number; 0: not sent.
  look({ width, height, faces, milliseconds: { detect, recognise } }) {
    if (!this.ready || !this.agreed) return 0;
    const sides = [width, height, width, height];
    const found = faces.map(({ box, score, probabilities }) => ({
      box: box.map((place, index) => rounded(place / sides[index])),
      score: rounded(score),
      probabilities: probabilities.map(rounded),
    }));
    this.#say({ type: "look", width, height, faces: found, detect: rounded(detect), recognise: rounded(recognise) });
    this.#frames += 1;
    return this.#frames;
  }

  #say(message) {
    if (!this.ready) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.binaryType = "blob";
    this.#socket = socket;
    this.#frames = 0;
    const lose = () => {
      clearTimeout(patience);
      if (socket === this.#socket) this.#lost();
    };
    const giveUp = () => {
      socket.close();
      lose(); // a silent server does not answer a close, either
    };
    let patience = setTimeout(giveUp, PATIENCE);
    socket.addEventListener("open", () => {
      const { level, adapt } = this;
      socket.send(JSON.stringify({ type: "hello", protocol: 2, client: this.#client, level, adapt }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      clearTimeout(patience);
      patience = setTimeout(giveUp, PATIENCE);
      if (data instanceof Blob) return this.#tell("image", data);
      this.#heard(JSON.parse(data));
    });
    socket.addEventListener("close", lose);
  }

  #heard(message) {
    if (message.type === "notice" && message.code === "idle") {
      this.#idle = true; // the event `lost` says it
      return;
    }
    if (message.type === "welcome") this.#welcomed(message);
    if (message.type === "difficulty") {
      this.level = message.level;
      this.held = message.held;
      this.adapt = message.adapt;
    }
    this.#tell(message.type, message);
  }

  #welcomed(message) {
    this.#failures = 0;
    this.welcome = message;
    this.ready = true;
    if (this.held) this.override(0);
    if (about(message) !== this.#agreedTo) this.agreed = false;
    if (this.agreed) this.consent(true);
  }

  async #lost() {
    this.#socket = null;
    this.ready = false;
    if (!this.#wanted) return;
    if (this.#idle) return this.#rest();
    const wait = Math.min(FIRST_WAIT * 2 ** this.#failures, LONGEST_WAIT) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    const tell = (locked) => this.#tell("lost", { words: locked ? LOCKED : GONE, seconds: wait / 1000, locked, idle: false });
    if (this.#failures === 1) tell(false); // at once, because the request below takes time
    const locked = await fetch("/health", { signal: AbortSignal.timeout(ASKING) }).then((answer) => answer.status === 401, () => false);
    if (!this.ready && (locked || this.#failures > 1)) tell(locked);
  }

  // Wait for the player.
  #rest() {
    this.#idle = false;
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => this.retry(), { once: true });
    this.#tell("lost", { words: IDLE, seconds: null, locked: false, idle: true });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function rounded(number) {
  return Math.round(1e5 * number) / 1e5;
}

// Identifies what a player agrees to: the model, the camera, and where its images are used.
export function about(welcome) {
  const { model, camera, inference, detection } = welcome ?? {};
  return JSON.stringify([model, camera, inference, detection]);
}
