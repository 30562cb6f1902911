import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../servers/server.js';

/** Files of one certificate authority and of what it signed. */
export interface Authority extends AsyncDisposable {
  readonly folder: string;
  readonly ca: string;
  /** Signs a certificate and returns its files. `names` are those of a server: `IP:127.0.0.1`, `DNS:localhost`. */
  sign(commonName: string, names?: string): Promise<{ readonly cert: string; readonly key: string }>;
}

/** A new authority, made by openssl; its files go when it is disposed. */
export async function newAuthority(commonName: string): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'dsync-test-ca-'));
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): Promise<string> => run(['openssl', ...args], { cwd: folder });
  await openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', `/CN=${commonName}`);
  return {
    folder,
    ca: file('ca.pem'),
    sign: async (name, names) => {
      await openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      await writeFile(file(`${name}.ext`), names ? `subjectAltName=${names}\n` : 'extendedKeyUsage=clientAuth\n');
      await openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-out', `${name}.pem`, '-extfile', `${name}.ext`);
      return { cert: file(`${name}.pem`), key: file(`${name}.key`) };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
