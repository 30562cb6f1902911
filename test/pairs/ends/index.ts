import { mongodbEnd } from './mongodb.js';
import { mysqlEnd } from './mysql.js';
import { postgresEnd } from './postgres.js';
import { sqliteEnd } from './sqlite.js';
import { skipReason } from '../../servers/index.js';
import type { End, EndName } from './end.js';

export type { Cells, End, EndName } from './end.js';

/** A new, empty database; dropped when it is disposed. */
export const openEnd: Record<EndName, () => Promise<End>> = {
  postgres18: () => postgresEnd('postgres18'),
  postgres14: () => postgresEnd('postgres14'),
  mariadb: () => mysqlEnd('mariadb'),
  mysql9: () => mysqlEnd('mysql9'),
  mongodb: mongodbEnd,
  sqlite: sqliteEnd,
};

export const endNames = Object.keys(openEnd) as EndName[];
export const sqlNames = endNames.filter((name) => name !== 'mongodb');

export const skipReasonOfEnd = (name: EndName): string | undefined => (name === 'sqlite' ? undefined : skipReason(name));
