// Times of the frames, in milliseconds, for a server that answers four frames after 60 ms each and then no more.

import { mock } from "node:test";
import { Sender } from "./sender.js";

let now = 0;
Object.assign(globalThis, { performance: { now: () => now } });
mock.timers.enable({ apis: ["setTimeout"] });

async function pass(milliseconds) {
  for (const until = now + milliseconds; now < until; now += 10) {
    mock.timers.tick(10);
    await new Promise(setImmediate); // the image is taken
  }
}

const left = [];
const sender = new Sender({
  perSecond: 50,
  take: async () => "jpeg",
  send: () => {
    const number = left.push(now);
    if (number < 5) setTimeout(() => sender.answered(number), 60);
    return number;
  },
});
sender.start();
await pass(2500);
sender.stop();
const stopped = left.length;
await pass(2500);
export default { left, late: left.length - stopped };
