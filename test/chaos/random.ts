/** Numbers that only look random: the same seed gives the same ones (mulberry32, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed in VOLLEY_CHAOS_SEED, else one of the moment; it is printed, so that what it led to can be repeated. */
export function chaosSeed(): number {
  const given = process.env.VOLLEY_CHAOS_SEED;
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  process.stderr.write(`chaos: VOLLEY_CHAOS_SEED=${seed}\n`);
  return seed;
}
