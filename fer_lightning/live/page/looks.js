// Functions for faces and colours that several modules of the page use.

// Returns the faces of the server's message, the largest first.
export function bySize(faces) {
  return [...faces].sort(({ box: one }, { box: other }) => other[2] * other[3] - one[2] * one[3]);
}

// Returns black or white: the one that is easier to read on a colour "#rrggbb" (relative luminance of WCAG 2).
export function inkOn(color) {
  const [red, green, blue] = [1, 3, 5].map((place) => linear(parseInt(color.slice(place, place + 2), 16) / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

function linear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
