// The meaning of WORDS for Bit, and Bit's offers in each of COURSES: lists of [state, confidence, until, after a no].

import { ABOUT, COURSES, WORDS } from "./given.js";
import { Offers } from "./offers.js";
import { mayMeanStop, understand } from "./talk.js";

function offered(course) {
  const made = [];
  let now = 0;
  const offers = new Offers((kind) => made.push([kind, now]));
  for (const [state, confidence, until, no] of course) {
    if (no) offers.decline(now);
    for (; now < until; now += 250) offers.look({ state, confidence }, now);
  }
  return made;
}

export default {
  about: ABOUT.map(mayMeanStop),
  meant: WORDS.map(understand),
  offers: Object.fromEntries(Object.entries(COURSES).map(([name, course]) => [name, offered(course)])),
};
