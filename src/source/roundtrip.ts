const tries = 5;

/** Milliseconds from a request to its answer: the median of several, one after another. */
export async function roundTrip(ask: () => Promise<unknown>): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < tries; i++) {
    const since = performance.now();
    await ask();
    taken.push(performance.now() - since);
  }
  return taken.sort((a, b) => a - b)[tries >> 1];
}
