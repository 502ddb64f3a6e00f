// What Bit understands of what is typed, and what Bit says. Never that somebody looks this way or that.

// The first that fits counts; what fits none is only talk. All are tried on lower-case words with plain quotes.
const INTENTS = [
  ["stop", /\b(stop|quit|don't|do not|no more)\b.*\b(watch|look|film|record|spy)(ing)?\b|\bcam(era)? off\b|^stop\W*$|\bturn (it|that|the cam(era)?) off\b/],
  ["watch", /^(please )?(start|you (may|can)|go ahead and) (to )?(watch|look)(ing)?\b|^(watch|look at) me\b|\bcam(era)? on\b/],
  ["seen", /\bwhat (do|can|did) you (see|know|think)\b|\bdo you see me\b|\bare you (watching|looking)\b|\bhow do i (look|seem)\b/],
  ["why", /^(but )?why\W*$|^(but )?why\b.*\b(level|easier|harder|easy|hard|difficult|change[ds]?)\b/],
  ["hard", /\btoo (hard|difficult|much)\b/],
  ["easy", /\btoo (easy|simple)\b|\bchallenge me\b/],
  ["easier", /\beasier\b|\bslow(er)? down\b|\bless (hard|difficult)\b/],
  ["harder", /\bharder\b|\bmore difficult\b/],
  ["stay", /\bstay\b|\bkeep (it|this|the level)\b|\bjust right\b/],
  ["decide", /\b(you|bit) decides?\b|\byour (call|choice)\b/],
  ["rest", /\b(break|pause|rest)\b/],
  ["skip", /^(skip|next|another( one)?|pass)\b|\bskip (it|this)\b|\bshow me\b|\bi give up\b/],
  ["hint", /\b(hint|clue|tip)s?\b|\bstuck\b|^(how|why)\b|\bno idea\b|\bi don't (get|understand|know)\b|\bhelp (me|with)\b/],
  ["help", /^(help|\?|commands?)\W*$|\bwhat can (you do|i (say|type|ask))\b/],
  ["hello", /^(hi|hello|hey|hallo|good (morning|evening|day))\b/],
  ["thanks", /\b(thanks|thank you|thx|cheers)\b/],
];

// What is meant, or null where it is only talk.
export function understand(text) {
  const words = text.toLowerCase().replaceAll("’", "'").trim();
  return INTENTS.find(([, pattern]) => pattern.test(words))?.[0] ?? null;
}

export const HELP =
  "You can type: hint, easier, harder, stay, you decide, why?, break, skip, what do you see?, stop watching. " +
  "Anything else I read as well, to learn whether this suits you.";

const LINES = {
  right: ["Yes, that’s it.", "Right!", "Exactly.", "Got it.", "And there is light.", "Well done.", "That’s the one."],
  streak: ["Three in a row!", "You are on a roll.", "That string of lights is getting long.", "One after the other!"],
  wrong: ["Not yet.", "Almost.", "Hm, not quite.", "Let’s look again."],
  late: ["There it is.", "Now it is right.", "You found it."],
  talk: ["I hear you.", "Noted.", "Okay.", "Good to know."],
  offer: ["Would one of these suit you?", "I could do one of these, if you like:", "Say the word:"],
  more: ["Shall I make it more interesting?", "I have something with more bite, if you like:"],
};

// One of the lines for an occasion, never the same twice in a row.
export class Lines {
  #random;
  #last = {};

  constructor(random) {
    this.#random = random;
  }

  get(occasion) {
    const others = LINES[occasion].filter((line) => line !== this.#last[occasion]);
    return (this.#last[occasion] = this.#random.pick(others));
  }
}
