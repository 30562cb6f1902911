import type { EndName } from './ends.js';
import type { Point } from './scene.js';

/** After so many bytes of the source's answers. */
export const read = (bytes: number): Point => [{ side: 'source', way: 'answered', nth: bytes }];

type Server = 'postgres' | 'mysql' | 'mongodb';
const serverOf = (name: EndName): Server => (name.startsWith('postgres') ? 'postgres' : name === 'mongodb' ? 'mongodb' : 'mysql');

/** Rows are on their way: what commits from here on is batches. */
const writing: Record<Server, RegExp> = { postgres: /FROM STDIN/, mysql: /LOAD DATA|INSERT INTO (?!\S*_dsync)/, mongodb: /(?:insert|update)\0[^]{4}(?!_dsync)/ };
/** The write that makes a batch last, with its progress: the whole statement, not a word in another one. */
const commits: Record<Server, RegExp> = { postgres: /COMMIT\0/, mysql: /\x03(?:\0\x01)?COMMIT/, mongodb: /update\0[^]{4}_dsync_progress/ };

const nthCommit = (destination: EndName, nth: number, unanswered: boolean): Point => [
  { side: 'destination', way: 'asked', text: writing[serverOf(destination)] },
  { side: 'destination', way: 'asked', text: commits[serverOf(destination)], nth, unanswered },
];

/** The destination has the nth batch, and dsync is not told. */
export const unacknowledged = (destination: EndName, nth: number): Point => nthCommit(destination, nth, true);

/** The nth batch's commit never reaches the destination, which has all that belongs to it. */
export const uncommitted = (destination: EndName, nth: number): Point => nthCommit(destination, nth, false);

/** Keys are built, staging tables are swapped in, statistics are taken: whatever this engine has to do at the end. */
const finishing: Record<Server, RegExp> = { postgres: /ADD PRIMARY KEY|ANALYZE/, mysql: /RENAME TABLE|ANALYZE/, mongodb: /renameCollection/ };
export const finished = (destination: EndName): Point => [{ side: 'destination', way: 'asked', text: finishing[serverOf(destination)], unanswered: true }];

/** The verification has begun, and has read so much of the source. */
export const verifying = (bytes: number): Point => [{ says: /info +verify$/m }, { side: 'source', way: 'answered', nth: bytes }];

const mends: Record<Server, RegExp> = { ...commits, mongodb: /updates|deletes/ };

/** The first rows were mended, and dsync is not told. */
export const mending = (destination: EndName): Point => [{ says: /info +verify$/m }, { side: 'destination', way: 'asked', text: mends[serverOf(destination)], unanswered: true }];
