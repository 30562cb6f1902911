import { mariadb } from './mariadb.js';
import { mongodb } from './mongodb.js';
import { mysql9 } from './mysql9.js';
import { postgres } from './postgres.js';
import type { Kind } from './server.js';

/** Every server that the tests know, in the order in which they are reported. */
export const kinds = {
  postgres18: postgres('postgres18'),
  postgres14: postgres('postgres14', '14.23.0-beta.17'),
  mariadb,
  mysql9,
  mongodb,
} satisfies Record<string, Kind>;

export type ServerName = keyof typeof kinds;
export const serverNames = Object.keys(kinds) as ServerName[];
