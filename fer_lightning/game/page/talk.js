// The meaning of what the player types, and Bit's lines. Bit never says how a player looks.

// Returns a pattern for a wish ("easier", "make it a bit easier") but not for a remark ("easier than before").
function wish(words) {
  const short = `^((an?|one|much|bit|little|something|slightly|go|please) )*(${words})\\b(?! (than|now))`;
  return new RegExp(`${short}|\\b(make|give|want|like|need|try|can|could)\\b.*\\b(${words})\\b(?! than)`);
}

const CAMERA = String.raw`\b((web)?cam(era)?|lens|eyes?|video|recording)\b`;
const NO = String.raw`(\b(no|not|never|nobody|without|rather|stop|cannot)\b|n't\b)`;
const WATCHED = "watched|seen|looked at|filmed|recorded|monitored|observed|tracked|scanned|analy[sz]ed|photographed";
const DONT = String.raw`\b(stop|quit|don't|do not|no more|never)\b`;

// Returns a pattern for words that the player does not want ("no hint", "i don't need any more hints").
function denied(words) {
  const none = `\\b(no|no more|not|without) (an? |any )?(${words})\\b`;
  const unwanted = "want|need|like|giv(e|ing)|show(ing)?|get|have|take|tell(ing)?|think";
  return `(${none}|\\b(don't|do not|not|never|stop) (really )?((${unwanted})\\b( \\w+){0,4} (${words})|help)\\b)`;
}

// The first pattern that matches counts; a text without a match is only talk. Texts are in lower case, with ' for ’.
const INTENTS = [
  ["seen", new RegExp(`^(is|are) .*${CAMERA} (on|off|open|shut|closed)\\b`)],
  ["stop", new RegExp(`${DONT}.*\\b(watch|look|film|record|spy|star|track|observ|scan|analy[sz]|judg)(e|ing|ring)?\\b`)],
  ["stop", new RegExp(`${NO}.*\\b(watch|see|seeing|look at|looking at|film|record|monitor|use|using)(ing)? (me|us|my (face|image|pic\\w*|video))\\b`)],
  ["stop", new RegExp(`${NO}.*\\b(be|being|get|getting) (${WATCHED})\\b`)],
  ["stop", /\b(i'm|i am|im) (only |just )?(under (18|eighteen|age)|not (18|an adult)|an? (minor|child|kid)|([1-9]|1[0-7])( ?years? ?(old|of age)?| ?yo)?\W*$)/],
  ["stop", /\blook away\b|\bstop (seeing|using|reading)\b.*\b(me|my)\b|\bleave me (alone|be)\b/],
  ["stop", /\b(turn|switch|shut|put) (it|that|this) off\b|\b(turn|switch|shut) off (it|that|this)\b/],
  ["stop", /\b(withdraw|revoke|cancel|take back|no longer|not|don't)\b.*\b(consent|agree|permission)\b/],
  ["stop", new RegExp(`${CAMERA}.* off\\b|\\boff .*${CAMERA}|\\b(stop|end|close|shut|cover|disable|no|without)\\b.*${CAMERA}`)],
  ["stop", /^((please|now|bit|i want you to|(can|could|will|would) you),? )*(stop|enough)( it| that| this| now| please)*\W*$/],
  ["watch", /^(please )?(start|you (may|can)|go ahead and) (to )?(watch|look)(ing)?\b|^(watch|look at) me\b|\bcam(era)? on\b|\b(turn|switch) on\b.*\bcam/],
  ["seen", /\bwhat (do|can|did) you (see|know|think)\b|\bdo you see me\b|\bare you (watching|looking)\b|\bhow do i (look|seem)\b/],
  ["why", /^(but )?why\W*$|^(but )?why\b.*\b(level|easier|harder|easy|hard|difficult|change[ds]?)\b/],
  ["hard", /^(?!.*(not|n't) too\b).*\btoo (hard|difficult|much)\b/],
  ["easy", /^(?!.*(not|n't) too\b).*\btoo (easy|simple)\b|\bchallenge me\b/],
  ["stay", /^stay\b|\bstay (here|at|on)\b|\bkeep (it|this|the level)\b|\bjust right\b|\b(don't|do not)\b.*\b(easier|harder|change)\b|^(not|no) (easier|harder)\b/],
  ["easier", wish("easier|slow(er)? down|less (hard|difficult)")],
  ["harder", wish("harder|more difficult")],
  ["decide", /\b(you|bit) decides?\b|\byour (call|choice)\b/],
  ["rest", new RegExp(`^(break|pause|rest)( time| now| please)*\\W*$|^(?!.*${denied("break|pause|rest")}).*\\b(an?|short|long|quick|little|take|need|want) (break|pause|rest)\\b`)],
  ["skip", /^(skip|next|pass|another( one)?)( one| task| please)*\W*$|\bskip (it|this|that)\b|\bshow me( how| it| the (answer|solution|way))*( please)?\W*$|\bi give up\b/],
  ["hint", new RegExp(`^(?!.*${denied("(hint|tip)s?|stuck|help")}).*\\b((hint|clue|tip)s?|stuck|help (me|with))\\b`)],
  ["hint", /^how\W*$|^(how|why) (do|does|did|can|should|to|would|is|isn't|not|many|much)\b|\bno idea\b|\bi don't (get|understand|know)\b/],
  ["help", /^(help|\?|commands?)\W*$|\bwhat can (you do|i (say|type|ask))\b/],
  ["hello", /^(hi|hello|hey|hallo|good (morning|evening|day))\b/],
  ["thanks", /\b(thanks|thank you|thx|cheers)\b/],
];

const MAY_MEAN_STOP = new RegExp(`${CAMERA}|\\b(stop|off\\b|consent|agree|permission|private|privacy|film|record|track|spy|wat\\w*ing)`);

const normalised = (text) => text.toLowerCase().replaceAll("’", "'").replace(/\b(do|does|did|ca|is|are)nt\b/g, "$1n't").trim();

// Returns true if a text without an intent may ask to switch the camera off. Bit then says how.
export function mayMeanStop(text) {
  return MAY_MEAN_STOP.test(normalised(text));
}

// Returns the intent of a text, or null if it is only talk.
export function understand(text) {
  const typed = normalised(text);
  return INTENTS.find(([, pattern]) => pattern.test(typed))?.[0] ?? null;
}

export const HELP =
  "You can type: hint, easier, harder, stay, you decide, why?, break, skip, what do you see?, stop watching. " +
  "I also read everything else that you type, to find out whether the level is right for you.";

const LINES = {
  right: ["Yes, that’s right.", "Right!", "Exactly!", "You got it.", "The lamp is on!", "Well done.", "Correct!"],
  streak: ["Several right answers in a row!", "You are doing great.", "So many right answers!", "One right answer after the other!"],
  wrong: ["Not yet.", "Almost.", "Hm, not quite.", "Let’s look again."],
  late: ["That’s right now.", "Now it is right.", "You found it."],
  talk: ["I read that.", "Thank you for telling me.", "Okay.", "Good to know."],
  offer: ["Would one of these help you?", "I can do one of these, if you like:", "What would you like?"],
  more: ["Shall I make it more interesting?", "I have something more difficult, if you like:"],
};

// Returns a line for an occasion, never the same line twice in a row.
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
