// A connection to servers that become silent, or return with another model: its messages and its events.

import { mock } from "node:test";
import { Connection } from "./connection.js";

const MODEL = { name: "one", classes: [] };
const sockets = [];
const listeners = {};

class Socket extends EventTarget {
  sent = [];

  constructor() {
    super();
    sockets.push(this);
  }

  send(data) {
    this.sent.push(JSON.parse(data));
  }

  close() {} // a silent server does not answer

  say(message) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }

  welcome(model, camera = "client") {
    this.dispatchEvent(new Event("open"));
    this.say({ type: "welcome", model, camera });
  }
}

Object.assign(globalThis, {
  WebSocket: Socket,
  location: { protocol: "http:", host: "127.0.0.1" },
  addEventListener: (type, act) => (listeners[type] = act),
  fetch: async () => ({ status: 401 }),
});
mock.timers.enable({ apis: ["setTimeout"] });

const consents = (socket) => socket.sent.filter(({ type }) => type === "consent").map(({ camera }) => camera);
const connection = new Connection({ client: "test" });
const lost = [];
connection.addEventListener("lost", ({ detail }) => lost.push(detail.locked));
connection.open();
sockets[0].welcome(MODEL);
connection.consent(true);
connection.text("\u{1f600}".repeat(501));
mock.timers.tick(9000);
sockets[0].say({ type: "state" });
mock.timers.tick(9000);
const before = lost.length;
mock.timers.tick(1000);
const silent = { before, lost: [...lost], ready: connection.ready, frame: connection.frame("jpeg") };
await new Promise(setImmediate);
silent.told = [...lost];
connection.retry();
sockets[1].welcome(MODEL);
const same = { agreed: connection.agreed, consents: consents(sockets[1]) };
sockets[1].dispatchEvent(new Event("close"));
connection.retry();
sockets[2].welcome(MODEL, "server");
const other = { agreed: connection.agreed, consents: consents(sockets[2]) };
await new Promise(setImmediate);
sockets[2].say({ type: "notice", level: "error", code: "idle", message: "" });
const idles = [];
connection.addEventListener("lost", ({ detail }) => idles.push(detail.idle));
sockets[2].dispatchEvent(new Event("close"));
mock.timers.tick(60_000);
const idle = { idles, attempts: sockets.length - 3 };
listeners.keydown();
idle.after = sockets.length - 3;
connection.close();
export default { silent, same, other, idle, text: sockets[0].sent.find(({ type }) => type === "text").text };
