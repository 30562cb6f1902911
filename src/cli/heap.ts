import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const enough = 12 << 20;
const often = 100;

/**
 * Keeps V8's young generation from growing to its usual 48 MB (Node 20) or 128 MB (Node 24): rows die young in a few
 * megabytes as well, and no slower (bench/memory.ts). A flag of `node` would do it too, but there is no portable place for one.
 */
export function keepHeapSmall(): void {
  setInterval(() => setFlagsFromString(`--semi-space-growth-factor=${youngBytes() < enough ? 2 : 1}`), often).unref();
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0;
}
