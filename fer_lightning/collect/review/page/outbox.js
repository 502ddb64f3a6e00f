// Events on their way to the server: each is kept in the browser under a key of its own until the server has it.

const AT_ONCE = 100;
const PATIENCE = 15_000; // milliseconds for an answer
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
  keeping = true; // whether the browser keeps what is not sent when the page is closed

  // changed() is called when anything here does; refused([{event, reason}]) for events that will never be stored.
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

  // How many decisions of other passes and annotators of this collection wait in this browser.
  elsewhere() {
    return keys().filter((key) => key.startsWith(this.#base) && !key.startsWith(this.#prefix)).length;
  }

  // From here on times lie after this one, whatever the clock says.
  after(time) {
    this.#lastTime = Math.max(this.#lastTime, Date.parse(time));
  }

  // A time for the events of one key press, later than any before.
  tick() {
    this.#lastTime = Math.max(Date.now(), this.#lastTime + 1);
    return new Date(this.#lastTime).toISOString();
  }

  add(events) {
    if (!events.length) return;
    events.forEach((event, place) => {
      const key = `${this.#prefix}${event.time}:${String(place).padStart(4, "0")}:${event.event}`;
      this.#waiting.set(event.event, { key, event });
      this.#keep(key, event);
    });
    this.#changed();
    if (!this.trouble) this.flush();
  }

  // Send what waits, if only to learn whether the server is there; resolves when all is answered or it is away.
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
      if (!this.#settle(body) && batch.length) return this.#fail(500, { error: "an answer without an end" });
      this.#failures = 0;
      this.trouble = null;
      this.#changed();
    } while (this.#waiting.size);
  }

  #settle({ acknowledged, refused }) {
    const before = this.#waiting.size;
    for (const id of acknowledged) this.#forget(id);
    const lost = refused.filter(({ event }) => this.has(event));
    const told = lost.map(({ event: id, reason }) => ({ event: this.#waiting.get(id).event, reason }));
    for (const { event } of told) this.#forget(event.event);
    if (told.length) this.#refused(told);
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

  // Of this collection, pass and annotator, in the order in which they were made.
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
    // A browser that keeps nothing has nothing to remove.
  }
}

// {status, body}: status 0 where no server answered; body null where it is no JSON.
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
    return { status: answer.status, body: await answer.json().catch(() => null) };
  } catch {
    return { status: 0, body: null };
  }
}
