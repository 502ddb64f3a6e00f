// Pseudo-random numbers that depend only on the seed: Marsaglia's 32-bit xorshift (2003).

export class Random {
  #state;

  // Each seed (the seed of the game, the index of the task, the level) changes all following numbers.
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

  // Returns an integer from `low` to `high`, both included.
  between(low, high) {
    return low + Math.floor((this.#next() / 2 ** 32) * (high - low + 1));
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }
}
