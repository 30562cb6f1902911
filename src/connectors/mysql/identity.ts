import type { Session } from './session.js';

/** The server, by what stays over its restarts, and the database on it. */
export async function identityOf(session: Session, database: string | undefined, signal: AbortSignal): Promise<string> {
  const server = session.version.flavour === 'mysql'
    ? 'SELECT @@server_uuid'
    : "SELECT CONCAT_WS(':', @@server_id, @@hostname, @@port, @@datadir)";
  const [[text]] = await session.rows(server, signal);
  return `${session.version.flavour}:${text}${database === undefined ? '' : `/${database}`}`;
}
