// Images as arrays, with the same grey levels as OpenCV: reduction by area, grey, and the crop of a face.
//
// An image is {width, height, data}, data with `channels` bytes per pixel: 4 (RGBA) or 1 (grey).
// fer_lightning/faces/crop.py defines the crop rule, and the tests compare both.

export const SIDE = 48; // pixels of a crop
export const SIDE_OF_HEIGHT = 0.92;
const WHOLE = 2048;
const [EVEN, HALVES] = [0x00ff00ff, 0x00020002]; // two channels of a pixel, and 2 in both
const [RED, GREEN, BLUE, SHIFT] = [9798, 19235, 3735, 15]; // BT.601 in 32768ths

// Rounds to the next integer, and halves to the next even one, as Python and OpenCV do.
export function roundEven(value) {
  const low = Math.floor(value);
  const above = value - low;
  if (above !== 0.5) return above < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

// Returns the side of the square to crop, in pixels of the image, for a face with the box [x, y, width, height].
export function cropSide([, , , height]) {
  return SIDE_OF_HEIGHT * height;
}

// Returns the crop of a face as SIDE x SIDE grey levels. Parts outside the image repeat the pixels of its edge.
export function cropFace(image, box) {
  return greySquare(image, box, cropSide(box), SIDE);
}

// Returns a square around the centre of a box as size x size grey levels.
export function greySquare(image, [x, y, width, height], side, size) {
  const pixels = Math.max(1, roundEven(side));
  const left = roundEven(x + width / 2 - pixels / 2);
  const top = roundEven(y + height / 2 - pixels / 2);
  const cut = { width: pixels, height: pixels, data: new Uint8Array(pixels * pixels) };
  for (let row = 0; row < pixels; row++) {
    const line = clamped(top + row, image.height) * image.width;
    for (let column = 0; column < pixels; column++) {
      const at = 4 * (line + clamped(left + column, image.width));
      cut.data[row * pixels + column] = grey(image.data[at], image.data[at + 1], image.data[at + 2]);
    }
  }
  return resized(cut, size, size, 1).data;
}

// Returns a part of an RGBA image.
export function part(image, { left, top, width, height }) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let row = 0; row < height; row++) {
    const start = 4 * ((top + row) * image.width + left);
    data.set(image.data.subarray(start, start + 4 * width), 4 * width * row);
  }
  return { width, height, data };
}

function clamped(index, length) {
  return Math.min(Math.max(index, 0), length - 1);
}

function grey(red, green, blue) {
  return (red * RED + green * GREEN + blue * BLUE + (1 << (SHIFT - 1))) >> SHIFT;
}

// Returns an image scaled to width x height as OpenCV's INTER_AREA does.
export function resized(image, width, height, channels = 4) {
  if (image.width === width && image.height === height) return image;
  const shrinks = image.width >= width && image.height >= height;
  if (shrinks && image.width === 2 * width && image.height === 2 * height) return channels === 4 ? halvedColour(image) : halved(image);
  const [shares, mix] = shrinks ? [areaShares, mixByArea] : [linearShares, mixTwo];
  const rows = along(image.data, image.height, image.width, width, channels, shares(image.width, width));
  return { width, height, data: down(rows, width, height, channels, shares(image.height, height), mix) };
}

function halved({ width, height, data }) {
  const half = new Uint8ClampedArray((data.length / 4) | 0);
  for (let row = 0, to = 0; row < height; row += 2)
    for (let at = row * width; at < (row + 1) * width; at += 2, to++)
      half[to] = (data[at] + data[at + 1] + data[at + width] + data[at + width + 1] + 2) >> 2;
  return { width: width / 2, height: height / 2, data: half };
}

// The same for RGBA: two channels at once, each with 16 bits for its sum.
function halvedColour({ width, height, data }) {
  const pixels = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const half = new Uint32Array(pixels.length / 4);
  for (let row = 0, to = 0; row < height; row += 2)
    for (let at = row * width; at < (row + 1) * width; at += 2, to++) {
      const below = at + width;
      const even = (pixels[at] & EVEN) + (pixels[at + 1] & EVEN) + (pixels[below] & EVEN) + (pixels[below + 1] & EVEN) + HALVES;
      const odd = (high(pixels[at]) + high(pixels[at + 1]) + high(pixels[below]) + high(pixels[below + 1]) + HALVES) >>> 2;
      half[to] = ((even >>> 2) & EVEN) | ((odd & EVEN) << 8);
    }
  return { width: width / 2, height: height / 2, data: new Uint8ClampedArray(half.buffer) };
}

function high(pixel) {
  return (pixel >>> 8) & EVEN;
}

// Returns for each of `size` pixels its first source pixel and the shares of this and the next pixels, by their overlap.
function areaShares(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, index) => {
    const [start, end] = [index * scale, Math.min((index + 1) * scale, length)];
    const first = Math.min(Math.floor(start + 1e-9), length - 1);
    const weights = [];
    for (let pixel = first; pixel < end - 1e-9; pixel++) weights.push((Math.min(end, pixel + 1) - Math.max(start, pixel)) / (end - start));
    return { first, weights };
  });
}

// The same for an image that grows in a direction: OpenCV then mixes two neighbours, with shares in 2048ths.
function linearShares(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, index) => {
    const first = Math.floor(index * scale);
    const beyond = index + 1 - (first + 1) / scale;
    const share = beyond <= 0 || first >= length - 1 ? 0 : roundEven(WHOLE * (beyond - Math.floor(beyond)));
    return share ? { first, weights: [WHOLE - share, share] } : { first: Math.min(first, length - 1), weights: [WHOLE] };
  });
}

function along(data, height, length, width, channels, shares) {
  const rows = new Float32Array(height * width * channels);
  let to = 0;
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const { first, weights } = shares[column];
      for (let channel = 0; channel < channels; channel++, to++) {
        let sum = 0;
        let at = (row * length + first) * channels + channel;
        for (let place = 0; place < weights.length; place++, at += channels) sum += weights[place] * data[at];
        rows[to] = sum;
      }
    }
  return rows;
}

function down(rows, width, height, channels, shares, mix) {
  const line = width * channels;
  const made = new Uint8ClampedArray(height * line); // rounds halves to even
  for (let row = 0; row < height; row++) mix(rows, shares[row], line, made.subarray(row * line, (row + 1) * line));
  return made;
}

function mixByArea(rows, { first, weights }, line, made) {
  const sums = new Float32Array(line);
  for (let place = 0; place < weights.length; place++) {
    const [weight, start] = [weights[place], (first + place) * line];
    for (let column = 0; column < line; column++) sums[column] += weight * rows[start + column];
  }
  made.set(sums);
}

// OpenCV cuts the last bits of each product off.
function mixTwo(rows, { first, weights: [weight, other = 0] }, line, made) {
  const cut = (share, value) => (share * (value >> 4)) >> 16;
  for (let column = 0, at = first * line; column < line; column++, at++)
    made[column] = (cut(weight, rows[at]) + (other && cut(other, rows[at + line])) + 2) >> 2;
}
