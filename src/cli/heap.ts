import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

const enough = 12 << 20;
const often = 100;
/** Percent by which the old generation may outgrow what lives in it before it is collected: while values of megabytes wait there, and else. */
const growth = { large: 100, small: 300 };
/** So much lives only where values are large. */
const large = 96 << 20;

/**
 * Keeps V8's young generation from growing to its usual 48 MB (Node 20) or 128 MB (Node 24), where rows die as early in a few
 * megabytes, and its old one from waiting long (bench/memory.ts), as far as that costs little (bench/copy.ts). Flags of `node`
 * have no portable place in a program.
 */
export function keepHeapSmall(): void {
  setInterval(() => {
    setFlagsFromString(`--semi-space-growth-factor=${youngBytes() < enough ? 2 : 1}`);
    setFlagsFromString(`--heap-growing-percent=${allBytes() > large ? growth.large : growth.small}`);
  }, often).unref();
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0;
}

function allBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}
