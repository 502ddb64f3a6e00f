// SVG elements for lamps, gates and circuits.

const SVG = "http://www.w3.org/2000/svg";

// svg("path", { d: "M0 0H9", class: "wire" }, child): returns a new SVG element.
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Returns a lamp that hangs on a cord, in a box of 48 by 70. The CSS class "on" of any parent element lights it.
export function hangingLamp() {
  return svg(
    "svg",
    { viewBox: "0 0 48 70", class: "bulb", "aria-hidden": "true" },
    svg("circle", { class: "halo", cx: 24, cy: 44, r: 24 }),
    svg("path", { class: "cord", d: "M24 0V16" }),
    svg("path", { class: "socket", d: "M17.5 15h13l1.5 11h-16z" }),
    svg("path", { class: "glass", d: "M16.5 26h15c.6 4.4 6 8.2 6 16.4a13.5 13.5 0 0 1-27 0c0-8.2 5.4-12 6-16.4z" }),
    svg("path", { class: "filament", d: "M20 27v9l2.7-3 2.6 5 2.7-11" }),
    svg("path", { class: "shine", d: "M15 42a9.5 9.5 0 0 0 4.5 8" }),
  );
}
