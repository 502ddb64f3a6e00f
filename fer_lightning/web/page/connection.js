// A client of the live protocol, version 1 (docs/protocol.md): one WebSocket that comes back by itself.
//
//   const connection = new Connection({ client: "my game 1.0", level: 3 });
//   connection.addEventListener("difficulty", ({ detail }) => game.setLevel(detail.level, detail.reason));
//   connection.addEventListener("lost", ({ detail }) => game.say(detail.words));
//   connection.open();
//   connection.text("ugh");
//
// Events, each with what it tells in `detail`:
//   welcome, faces, state, difficulty, notice   the server's message of that type, as parsed JSON
//   picture   a Blob: a JPEG of the server's own camera; the `faces` that come next were seen in it
//   lost      {words, seconds, locked}: the server is gone, or silent, and is tried again in so many seconds; may come
//             again; `locked`: it is there, but this browser must open the address that the terminal printed
//
// The server keeps nothing of a connection that has ended. This class keeps what a reconnect needs: the level, the switch,
// whether the player's own word holds the level, and whether the player agreed to the camera: to this model and this camera
// alone, with others `agreed` is false again. What is said while the server is gone is not sent later: a game goes on
// without it.

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 10_000;
const PATIENCE = 10_000; // without a word of a server, which speaks every second
const ASKING = 2000; // to learn why a server is gone
const MOST_LETTERS = 500; // of a text
const GONE = "The server is gone. It is tried again until it is back.";
const LOCKED = "The server no longer knows this browser: open the address that its terminal printed.";

export class Connection extends EventTarget {
  #client;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #frames = 0;
  #wanted = false;
  #agreedTo = ""; // the model and the camera
  welcome = null; // the server's last welcome, also while it is gone
  ready = false; // whether the server listens now
  level; // of the game; null lets the server choose
  adapt; // the switch
  held = false; // whether the player's own word holds the level
  agreed = false; // whether the player agreed that frames are looked at

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

  // End for good, until `open`.
  close() {
    this.#wanted = false;
    this.ready = false;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#socket = null;
  }

  // Do not wait for the next try.
  retry() {
    if (this.#wanted && !this.#socket) this.#connect();
  }

  // The player agrees, or no longer does; from the answer's receipt on no frame is looked at.
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

  // -1, 0 or 1: one level down, stay, one up, and held there; null gives the word back to the server.
  override(change) {
    return this.#say({ type: "override", change });
  }

  setAdapt(on) {
    this.adapt = on;
    return this.#say({ type: "adapt", on });
  }

  // A picture of the camera, a Blob or ArrayBuffer of JPEG; -> its number in `faces.frame`, 0: not sent.
  frame(jpeg) {
    if (!this.ready || !this.agreed) return 0;
    this.#socket.send(jpeg);
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
      lose(); // a server that is silent does not answer a close either
    };
    let patience = setTimeout(giveUp, PATIENCE);
    socket.addEventListener("open", () => {
      const { level, adapt } = this;
      socket.send(JSON.stringify({ type: "hello", protocol: 1, client: this.#client, level, adapt }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      clearTimeout(patience);
      patience = setTimeout(giveUp, PATIENCE);
      if (data instanceof Blob) return this.#tell("picture", data);
      this.#heard(JSON.parse(data));
    });
    socket.addEventListener("close", lose);
  }

  #heard(message) {
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
    const wait = Math.min(FIRST_WAIT * 2 ** this.#failures, LONGEST_WAIT) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    const tell = (locked) => this.#tell("lost", { words: locked ? LOCKED : GONE, seconds: wait / 1000, locked });
    if (this.#failures === 1) tell(false); // at once: to learn why takes a moment
    const locked = await fetch("/health", { signal: AbortSignal.timeout(ASKING) }).then((answer) => answer.status === 401, () => false);
    if (!this.ready && (locked || this.#failures > 1)) tell(locked);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// What a player agrees to.
function about(welcome) {
  return JSON.stringify([welcome?.model, welcome?.camera]);
}
