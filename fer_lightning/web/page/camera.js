// The browser's camera: asked for when start() is called, and never before.

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" };
const QUALITY = 0.85;
const TUNNEL = "ssh -L 8767:127.0.0.1:8767 host";

// Why there is no camera: a title, what to do, and where it helps a command.
export class NoCamera extends Error {
  constructor(title, words, command = "") {
    super(words);
    Object.assign(this, { title, command });
  }
}

export class Camera {
  #video;
  #lost;
  #stream = null;
  #asked = 0;
  #canvas = document.createElement("canvas");

  // video: the element that shows it; lost(NoCamera): when it goes away by itself.
  constructor(video, lost) {
    this.#video = video;
    this.#lost = lost;
  }

  get on() {
    return this.#stream !== null;
  }

  // Resolves to whether it is on: not if stop() came first. Throws NoCamera.
  async start() {
    const asked = ++this.#asked;
    const stream = await open();
    if (asked !== this.#asked) {
      end(stream);
      return false;
    }
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.#end(track));
    this.#video.srcObject = stream;
    await this.#video.play().catch(() => {});
    return this.on;
  }

  #end(track) {
    if (this.#stream?.getVideoTracks()[0] !== track) return;
    this.stop();
    this.#lost(new NoCamera("The camera is gone", "It was unplugged, or the browser or another program took it. Plug it in and switch it on again."));
  }

  // Releases the camera: its own light goes off.
  stop() {
    this.#asked += 1;
    if (this.#stream) end(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  // While it rests the tracks give black pictures and the page shows the last one.
  rest(resting) {
    for (const track of this.#stream?.getVideoTracks() ?? []) track.enabled = !resting;
    if (resting) this.#video.pause();
    else this.#video.play().catch(() => {});
  }

  // The picture of now as a JPEG, its longer side at most `side` pixels; null where there is none yet.
  async jpeg(side) {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!this.on || !width || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const scale = Math.min(1, side / Math.max(width, height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.getContext("2d").drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new NoCamera(
      "The browser gives no camera to this address",
      `Browsers do so for https and for 127.0.0.1 alone, and this is ${location.host}. Reach the server through a tunnel, then open the same address at 127.0.0.1:`,
      TUNNEL,
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: WANTED, audio: false });
  } catch (error) {
    throw inWords(error);
  }
}

function inWords({ name, message }) {
  const known = {
    NotAllowedError: ["The browser was not allowed to use the camera", "Allow it beside the address of this page, or in the system’s privacy settings, then switch it on again."],
    NotFoundError: ["No camera was found", "Plug one in, then switch it on again. A camera or a video of the server does as well:"],
    NotReadableError: ["The camera does not answer", "Another program may be using it. Close that one, then switch it on again."],
  };
  const [title, words] = known[name] ?? ["The camera did not start", `The browser says: ${message || name}.`];
  return new NoCamera(title, words, name === "NotFoundError" ? "python -m fer_lightning.live model=face.onnx source=0" : "");
}
