import type { Session } from './session.js';

/** Which database this is, whatever host it is reached by; a standby is the same as its primary. */
export async function identity(session: Session, signal: AbortSignal): Promise<string> {
  const [[system, database]] = await session.query('SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()', signal);
  return `postgres:${system}/${database}`;
}
