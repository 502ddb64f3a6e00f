// The last minute of the largest face: the probabilities of its classes as stacked bands, and the state below them.

const SECONDS = 60;
const GAP = 1.5; // seconds without a face from which a gap is shown
const AXIS = 20; // height of the axis, in pixels
const STRIP = 8; // height of the strip with the state, in pixels
const SPACE = 7; // space between both, in pixels
const FRAME_MS = 60; // milliseconds between two drawings

export class Timeline {
  #canvas;
  #classes = [];
  #looks = []; // {time, shares}: shares of the classes in order; null if no face counted
  #states = []; // {time, state, confidence}
  #drawn = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    const draw = (now) => {
      if (now - this.#drawn > FRAME_MS) this.#draw(now / 1000);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  set classes(classes) {
    this.#classes = classes;
    this.#looks = [];
  }

  // smoothed: {class: share}; null if no face counted.
  look(smoothed) {
    const time = performance.now() / 1000;
    this.#looks.push({ time, shares: smoothed && this.#classes.map(({ name }) => smoothed[name] ?? 0) });
    forget(this.#looks, time);
  }

  state(state, confidence) {
    const time = performance.now() / 1000;
    this.#states.push({ time, state, confidence });
    forget(this.#states, time);
  }

  #draw(now) {
    this.#drawn = now * 1000;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    const scale = devicePixelRatio;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const look = getComputedStyle(this.#canvas);
    const plot = { width, height: height - AXIS - STRIP - SPACE, x: (time) => width * (1 - (now - time) / SECONDS) };
    this.#axis(pen, look, plot, height);
    for (const segment of segments(this.#looks)) this.#bands(pen, look, plot, segment);
    this.#strip(pen, look, plot, now);
  }

  #axis(pen, look, { width, height }, whole) {
    pen.fillStyle = look.getPropertyValue("--wash");
    pen.beginPath();
    pen.roundRect(0, 0, width, height, 6);
    pen.fill();
    pen.font = `12px ${look.fontFamily}`;
    pen.fillStyle = look.getPropertyValue("--soft");
    pen.strokeStyle = look.getPropertyValue("--line");
    pen.textBaseline = "alphabetic";
    for (const ago of width < 480 ? [60, 30, 0] : [60, 45, 30, 15, 0]) {
      const x = width * (1 - ago / SECONDS);
      pen.textAlign = ago === SECONDS ? "left" : ago ? "center" : "right";
      pen.fillText(ago ? `${ago} s ago` : "now", x, whole - 3);
      if (ago === SECONDS || !ago) continue;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.stroke();
    }
  }

  #bands(pen, look, { width, height, x }, segment) {
    pen.save();
    pen.beginPath();
    pen.roundRect(0, 0, width, height, 6);
    pen.clip();
    const below = segment.map(() => 0);
    this.#classes.forEach(({ color }, place) => {
      const above = segment.map(({ shares }, number) => below[number] + shares[place]);
      pen.beginPath();
      segment.forEach(({ time }, number) => pen.lineTo(x(time), height * (1 - above[number])));
      for (let number = segment.length - 1; number >= 0; number -= 1) pen.lineTo(x(segment[number].time), height * (1 - below[number]));
      pen.closePath();
      pen.fillStyle = color;
      pen.fill();
      pen.strokeStyle = look.getPropertyValue("--raised");
      pen.lineWidth = 0.75;
      pen.stroke();
      above.forEach((value, number) => (below[number] = value));
    });
    pen.restore();
  }

  #strip(pen, look, { height, width, x }, now) {
    const top = height + SPACE;
    pen.fillStyle = look.getPropertyValue("--wash");
    pen.fillRect(0, top, width, STRIP);
    this.#states.forEach(({ time, state, confidence }, number) => {
      if (state === "unknown") return;
      const next = this.#states[number + 1]?.time ?? now;
      const from = Math.round(Math.max(0, x(time)));
      pen.globalAlpha = 0.35 + 0.65 * confidence;
      pen.fillStyle = look.getPropertyValue(`--${state}`);
      pen.fillRect(from, top, Math.round(x(Math.min(next, time + GAP))) - from, STRIP);
    });
    pen.globalAlpha = 1;
  }
}

function forget(entries, now) {
  while (entries.length > 2 && entries[1].time < now - SECONDS) entries.shift();
}

// Returns the sequences of looks with a face and without a gap.
function segments(looks) {
  const found = [];
  let last = null;
  for (const look of looks) {
    if (!look.shares) last = null;
    else if (last && look.time - last.at(-1).time < GAP) last.push(look);
    else found.push((last = [look]));
  }
  return found.filter((segment) => segment.length > 1);
}
