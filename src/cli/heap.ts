import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const enough = 12 << 20;
const often = 100;
/** Percent by which the old generation may outgrow what lives in it before it is collected: values of megabytes wait there. */
const growth = 100;

/**
 * Keeps V8's young generation from growing to its usual 48 MB (Node 20) or 128 MB (Node 24), where rows die as early in a few
 * megabytes, and its old one from waiting long (bench/memory.ts). Flags of `node` have no portable place in a program.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growth}`);
  setInterval(() => setFlagsFromString(`--semi-space-growth-factor=${youngBytes() < enough ? 2 : 1}`), often).unref();
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0;
}
