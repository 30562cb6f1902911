import type { EndName } from './ends.js';
import type { Point } from './scene.js';

/** After so many bytes of the source's answers. */
export const read = (bytes: number): Point => [{ side: 'source', way: 'answered', nth: bytes }];

type Server = 'postgres' | 'mysql' | 'mongodb';
const serverOf = (name: EndName): Server => (name.startsWith('postgres') ? 'postgres' : name === 'mongodb' ? 'mongodb' : 'mysql');

/** The write that makes a batch last, with its progress. */
const commits: Record<Server, RegExp> = { postgres: /COMMIT/, mysql: /COMMIT/, mongodb: /_dsync_progress/ };

/** The destination has what the nth commit makes last, and dsync is not told. */
export const unacknowledged = (destination: EndName, nth: number): Point => [{ side: 'destination', way: 'asked', text: commits[serverOf(destination)], nth, unanswered: true }];

/** The nth commit never reaches the destination, which has all that belongs to it. */
export const uncommitted = (destination: EndName, nth: number): Point => [{ side: 'destination', way: 'asked', text: commits[serverOf(destination)], nth }];

/** Keys are under way, staging tables are swapped in, statistics are taken: whatever this engine has to do at the end. */
const finishing: Record<Server, RegExp> = { postgres: /ADD PRIMARY KEY/, mysql: /RENAME TABLE|ANALYZE/, mongodb: /renameCollection/ };
export const finished = (destination: EndName): Point => [{ side: 'destination', way: 'asked', text: finishing[serverOf(destination)], unanswered: true }];

/** The verification has begun, and has read so much of the source. */
export const verifying = (bytes: number): Point => [{ says: /info +verify$/m }, { side: 'source', way: 'answered', nth: bytes }];

const mends: Record<Server, RegExp> = { postgres: /COMMIT/, mysql: /COMMIT/, mongodb: /updates|deletes/ };

/** The first rows were mended, and dsync is not told. */
export const mending = (destination: EndName): Point => [{ says: /info +verify$/m }, { side: 'destination', way: 'asked', text: mends[serverOf(destination)], unanswered: true }];
