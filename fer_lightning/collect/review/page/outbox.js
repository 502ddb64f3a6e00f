// Events that are not stored on the server yet. Each is kept in the browser under its own key until it is acknowledged.

const AT_ONCE = 100; // maximum events per request
const PATIENCE = 15_000; // maximum milliseconds to wait for an answer
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

export class Outbox {
  #session;
  #changed;
  #refused;
  #base;
  #prefix;
  #waiting = new Map();
  #sending = null;
  #timer = 0;
  #failures = 0;
  #lastTime = 0;
  trouble = null; // {status, words}
  stored = []; // the events that the server acknowledged, in this order
  keeping = true; // true if the browser keeps unsent events after the page is closed

  // changed() is called after each change; refused([{event, reason}]) is called for events that the server rejects.
  constructor(session, { changed, refused }) {
    this.#session = session;
    this.#changed = changed;
    this.#refused = refused;
    this.#base = `fer-review:${session.collection}:`;
    this.#prefix = `${this.#base}${session.pass}:${session.annotator}:`;
    for (const [key, event] of this.#kept()) {
      this.#waiting.set(event.event, { key, event });
      this.#lastTime = Math.max(this.#lastTime, Date.parse(event.time));
    }
  }

  get events() {
    return [...this.#waiting.values()].map(({ event }) => event);
  }

  get size() {
    return this.#waiting.size;
  }

  has(id) {
    return this.#waiting.has(id);
  }

  // Return the number of unsent decisions of other passes and annotators of this collection in this browser.
  elsewhere() {
    return keys().filter((key) => key.startsWith(this.#base) && !key.startsWith(this.#prefix)).length;
  }

  // Make all later times of tick() larger than this time, whatever the clock says.
  after(time) {
    this.#lastTime = Math.max(this.#lastTime, Date.parse(time));
  }

  // Return the time for the events of one key press; it is later than all earlier times.
  tick() {
    this.#lastTime = Math.max(Date.now(), this.#lastTime + 1);
    return new Date(this.#lastTime).toISOString();
  }

  add(events) {
    if (!events.length) return;
    events.forEach((event, index) => {
      const key = `${this.#prefix}${event.time}:${String(index).padStart(4, "0")}:${event.event}`;
      this.#waiting.set(event.event, { key, event });
      this.#keep(key, event);
    });
    this.#changed();
    if (!this.trouble) this.flush();
  }

  // Send the waiting events, or an empty list to test the server. Resolves when all are answered or a request fails.
  flush() {
    clearTimeout(this.#timer);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = null;
      if (this.#waiting.size && !this.trouble) this.flush();
    });
    return this.#sending;
  }

  async #send() {
    do {
      const batch = this.events.slice(0, AT_ONCE);
      const { status, body } = await post("/api/decisions", { session: this.#session, events: batch });
      if (status !== 200) return this.#fail(status, body);
      if (!this.#settle(body) && batch.length) return this.#fail(500, { error: "The server did not process the decisions." });
      this.#failures = 0;
      this.trouble = null;
      this.#changed();
    } while (this.#waiting.size);
  }

  #settle({ acknowledged, refused }) {
    const before = this.#waiting.size;
    this.stored.push(...acknowledged.filter((id) => this.has(id)).map((id) => this.#waiting.get(id).event));
    for (const id of acknowledged) this.#forget(id);
    const lost = refused.filter(({ event }) => this.has(event));
    const refusals = lost.map(({ event: id, reason }) => ({ event: this.#waiting.get(id).event, reason }));
    for (const { event } of refusals) this.#forget(event.event);
    if (refusals.length) this.#refused(refusals);
    return this.#waiting.size < before;
  }

  #fail(status, body) {
    this.trouble = { status, words: body?.error ?? "" };
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++) * (0.8 + 0.4 * Math.random());
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), wait);
    this.#changed();
  }

  #keep(key, event) {
    try {
      localStorage.setItem(key, JSON.stringify(event));
    } catch {
      this.keeping = false;
    }
  }

  #forget(id) {
    const sent = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (sent) drop(sent.key);
  }

  // Return the kept events of this collection, pass and annotator, in the order of the decisions.
  #kept() {
    const found = [];
    for (const key of keys().filter((name) => name.startsWith(this.#prefix)).sort()) {
      try {
        found.push([key, JSON.parse(localStorage.getItem(key))]);
      } catch {
        drop(key);
      }
    }
    return found;
  }
}

function keys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

function drop(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // A browser without local storage has nothing to remove.
  }
}

// Return {status, body}: status 0 if no server answered or its answer was cut off; body null if it is not valid JSON.
export async function post(address, content) {
  return ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
}

export async function ask(address, options = {}) {
  try {
    const answer = await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    const body = await answer.json().catch(() => null);
    return { status: answer.ok && body === null ? 0 : answer.status, body };
  } catch {
    return { status: 0, body: null };
  }
}
