// Reads faces in the browser, in a worker: no image leaves the page.
//
//   const reader = await Reader.open({ detector: "/files/detector.onnx", model: "/files/model.onnx", min_score: 0.7, long_side: 320, whole_every: 10, most: 8 });
//   const { faces, milliseconds } = await reader.read(context.getImageData(0, 0, width, height));
//   reader.close();
//
// Each face is {box: [x, y, width, height] in pixels, score, probabilities: [...] in the order of the model's classes}.
// All promises reject with an Error whose message is a reason for the user.

const ADDRESS = new URL("./worker.js", import.meta.url).href;
const PATIENCE = 60_000; // milliseconds to load and start
const scripts = globalThis.trustedTypes?.createPolicy("reader", { createScriptURL: () => ADDRESS }); // no other script

export class Reader {
  #worker = new Worker(scripts?.createScriptURL("") ?? ADDRESS, { type: "module" });
  #waiting = new Map();
  #last = 0;
  #problem = null;

  // detector, model: addresses of the files; min_score, long_side, whole_every, most: see docs/settings.md.
  // long_side null: full size.
  static async open({ detector, model, ...settings }) {
    if (typeof WebAssembly !== "object" || typeof Worker !== "function") throw new Error("this browser has no WebAssembly or no workers");
    const reader = new Reader();
    const slow = setTimeout(() => reader.#fail("it did not start within a minute"), PATIENCE);
    try {
      const [one, other] = [detector, model].map((address) => new URL(address, document.baseURI).href);
      await reader.#ask("open", { detector: one, model: other, ...settings });
    } catch (error) {
      reader.close();
      throw error;
    } finally {
      clearTimeout(slow);
    }
    return reader;
  }

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => this.#answered(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail(event.message || "the worker's files could not be loaded");
    });
  }

  // image: ImageData, whose memory is moved to the worker; settings: other values than those of `open`.
  read({ width, height, data }, settings = {}) {
    return this.#ask("read", { width, height, pixels: data.buffer, ...settings }, [data.buffer]);
  }

  close() {
    this.#worker.terminate();
    this.#fail("it was closed");
  }

  #ask(task, words, moved = []) {
    if (this.#problem) return Promise.reject(new Error(this.#problem));
    const number = ++this.#last;
    this.#worker.postMessage({ number, task, words }, moved);
    return new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
  }

  #answered({ number, answer, problem }) {
    const { resolve, reject } = this.#waiting.get(number) ?? {};
    this.#waiting.delete(number);
    if (problem) reject?.(new Error(problem));
    else resolve?.(answer);
  }

  #fail(problem) {
    this.#problem ??= problem;
    for (const { reject } of this.#waiting.values()) reject(new Error(problem));
    this.#waiting.clear();
  }
}
