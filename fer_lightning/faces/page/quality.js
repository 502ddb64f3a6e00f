// Order of the faces of an image, and doubts about them: the rules of fer_lightning/faces/quality.py.
//
// rules: {min_score, min_face_px, ambiguous_area}

import { cropSide } from "./pixels.js";

// Returns the faces with a sufficient score, the largest product of area and score first.
export function sufficient(faces, rules) {
  return faces.filter(({ score }) => score >= rules.min_score).sort((one, other) => weight(other) - weight(one));
}

// Returns the reason why a face of the list that `sufficient` returned is uncertain, or null.
export function doubt(face, faces, rules) {
  if (cropSide(face.box) < rules.min_face_px) return "too small";
  const whose = isAmbiguous(faces[0], faces, rules);
  return whose && isAmbiguous(face, faces, rules) ? "two faces of similar size" : null;
}

function isAmbiguous(face, faces, rules) {
  return faces.some((other) => other !== face && area(other) > rules.ambiguous_area * area(face));
}

function area({ box: [, , width, height] }) {
  return width * height;
}

function weight(face) {
  return area(face) * face.score;
}
