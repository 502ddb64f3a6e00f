// Small pieces of a page that its modules share.

// element("p", { className: "small" }, "words", other, null): a new element with properties and children.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// "64 %", with a narrow space that does not break.
export function percent(share) {
  return `${Math.round(100 * share)}\u202f%`;
}

// A share as a bar in a colour; words for those who do not see it stand beside it.
export function bar(share, color) {
  const made = element("span", { className: "bar", ariaHidden: "true" });
  made.style.setProperty("--share", share);
  made.style.setProperty("--c", color);
  return made;
}
