import { ifSupported, type Session } from './session.js';

/** The replica set's id if the user may see it, else its name; a server alone has only its address. */
export async function identityOf({ client, hello, hosts, database, attempt }: Session, signal: AbortSignal): Promise<string> {
  const id = hello.setName === undefined ? undefined : await attempt("reading the replica set's id", signal, async () => {
    const reply = await ifSupported(client.db('admin').command({ replSetGetConfig: 1 }, { signal }));
    return reply?.['config']?.settings?.replicaSetId as unknown;
  });
  return `mongodb:${id !== undefined ? String(id) : hello.setName ?? hosts}/${database ?? ''}`;
}
