// The browser's camera. The browser asks for permission when start() is called, and never before.

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" };
const QUALITY = 0.85;
const TUNNEL = "ssh -L 8767:127.0.0.1:8767 host";

// Reason why the camera cannot be used: a title and what to do next; for a page that can show one, a command that helps
// and the sentence before it.
export class NoCamera extends Error {
  constructor(title, words, lead = "", command = "") {
    super(words);
    Object.assign(this, { title, lead, command });
  }
}

export class Camera {
  #video;
  #lost;
  #stream = null;
  #asked = 0;
  #canvas = document.createElement("canvas");

  // video: the element that shows the camera; lost(NoCamera): called when the camera stops by itself.
  constructor(video, lost) {
    this.#video = video;
    this.#lost = lost;
  }

  get on() {
    return this.#stream !== null;
  }

  // Resolves to true if the camera is on, and to false if stop() was called meanwhile. Throws NoCamera.
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
    this.#lost(new NoCamera("The camera has stopped", "It was unplugged, or the browser or another program stopped it. Plug it in and switch it on again."));
  }

  // Releases the camera, so that its own light goes off.
  stop() {
    this.#asked += 1;
    if (this.#stream) end(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  // While the camera rests, the tracks give black images and the page shows the last image.
  rest(resting) {
    for (const track of this.#stream?.getVideoTracks() ?? []) track.enabled = !resting;
    if (resting) this.#video.pause();
    else this.#video.play().catch(() => {});
  }

  // Returns the current image as a JPEG with a longer side of at most `side` pixels, or null before the first image.
  async jpeg(side) {
    if (!this.#draw(side)) return null;
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }

  // The same as ImageData.
  pixels(side) {
    return this.#draw(side)?.getImageData(0, 0, this.#canvas.width, this.#canvas.height) ?? null;
  }

  // Draws the current image on the canvas. Returns its context, or null before the first image.
  #draw(side) {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!this.on || !width || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const scale = Math.min(1, side / Math.max(width, height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    context.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return context;
  }
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new NoCamera(
      "The browser gives no camera to this address",
      `Browsers give a camera only to https and to 127.0.0.1, and this page is at ${location.host}. Open the page at 127.0.0.1, through a tunnel to the server.`,
      "This command opens a tunnel:",
      TUNNEL,
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: WANTED, audio: false });
  } catch (error) {
    throw explained(error);
  }
}

function explained({ name, message }) {
  const known = {
    NotAllowedError: ["The browser was not allowed to use the camera", "Allow the camera next to the address of this page, or in the privacy settings of the system. Then switch it on again."],
    NotFoundError: ["No camera was found", "Plug in a camera and switch it on again."],
    NotReadableError: ["The camera does not answer", "Another program may use it. Close that program, then switch the camera on again."],
  };
  const [title, words] = known[name] ?? ["The camera did not start", `The browser reports: ${message || name}. Try again, or use another browser.`];
  if (name !== "NotFoundError") return new NoCamera(title, words);
  return new NoCamera(title, words, "You can also use a camera or a video of the server:", "python -m fer_lightning.live source=0");
}
