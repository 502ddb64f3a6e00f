// Small functions for the elements of a page.

// element("p", { className: "small" }, "text", other, null): returns a new element with properties and children.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Returns a share as "64 %", with a narrow non-breaking space.
export function percent(share) {
  return `${Math.round(100 * share)}\u202f%`;
}

// Returns a share as a coloured bar. Screen readers ignore it; put the same number next to it as text.
export function bar(share, color) {
  const made = element("span", { className: "bar", ariaHidden: "true" });
  made.style.setProperty("--share", share);
  made.style.setProperty("--c", color);
  return made;
}
