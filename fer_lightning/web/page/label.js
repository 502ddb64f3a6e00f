// The label of a face, with the same words as the command predict.

import { percent } from "./elements.js";

// shares: {class: share}; least: lowest share of a label. Returns the class with the highest share; `sure` says if it is the label.
export function labelOf(shares, least) {
  const [name, share] = Object.entries(shares).reduce((one, other) => (other[1] > one[1] ? other : one));
  const sure = share >= least;
  return { name, sure, text: sure ? `${name} ${percent(share)}` : "not sure" };
}
