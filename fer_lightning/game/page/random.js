// Numbers that look random and come back the same from the same seed: Marsaglia's xorshift of 32 bits (2003).

export class Random {
  #state;

  // Each of the numbers given (a game's seed, a task's place, a level) changes all that follows.
  constructor(...seeds) {
    this.#state = 0x9e3779b9;
    for (const seed of seeds) {
      this.#state = Math.imul(this.#state ^ seed, 0x85ebca6b) | 1;
      for (let turn = 0; turn < 4; turn++) this.#next();
    }
  }

  #next() {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  // A whole number from `low` to `high`, both included.
  between(low, high) {
    return low + Math.floor((this.#next() / 2 ** 32) * (high - low + 1));
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }
}
