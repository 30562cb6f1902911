import { createHash } from 'node:crypto';
import { withoutSecrets } from '../url.js';

/** What makes a flow: the same ends, selection and filters are the same flow, in whatever order they are given and with whatever password. */
export interface FlowParts {
  readonly source: string;
  readonly destination: string;
  readonly namespaces: readonly string[];
  readonly exclude: readonly string[];
  readonly where: Readonly<Record<string, string>>;
}

/** Sixteen hex digits that are good as a file name. */
export function flowId({ source, destination, namespaces, exclude, where }: FlowParts): string {
  const parts = [withoutSecrets(source), withoutSecrets(destination), sorted(namespaces), sorted(exclude), sorted(Object.entries(where).map((entry) => JSON.stringify(entry)))];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function sorted(words: readonly string[]): readonly string[] {
  return [...new Set(words)].sort();
}
