import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { DsyncError, messageOf } from '../errors.js';
import { nearest } from '../nearest.js';
import { reasonOf, settingsSchema, type Settings } from './settings.js';

/** The file that is read where no `--config` names another one. */
export const usualFile = 'dsync.yaml';

/** The settings of dsync.yaml; none if no file is named and the usual one isn't there. Fails with `usage`, naming file, line and column of every mistake. */
export function settingsOfFile(named: string | undefined, folder: string): Settings {
  const path = resolve(folder, named ?? usualFile);
  if (named === undefined && !existsSync(path)) return {};
  return parseSettings(readText(path, named ?? usualFile), named ?? usualFile);
}

export function parseSettings(text: string, file: string): Settings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const told = (mistakes: readonly Mistake[]) => wrong([...mistakes].sort((a, b) => a.offset - b.offset).map(({ offset, text }) => `${at(offset)}: ${text}`));
  if (document.errors.length > 0) throw told(document.errors.map(({ pos, message }) => ({ offset: pos[0], text: message })));
  const parsed = settingsSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  throw told(parsed.error.issues.flatMap((issue) => mistakesOf(issue, document)));
}

interface Mistake { readonly offset: number; readonly text: string }

function mistakesOf(issue: z.core.$ZodIssue, document: Document): readonly Mistake[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ offset: offsetOfKey(document, key), text: `unknown key "${key}"${suggestion(key)}` }));
  const text = issue.path.length > 0 ? `${issue.path.join('.')}: ${reasonOf(issue)}` : 'expected keys such as "source: …"';
  return [{ offset: offsetOfValue(document, issue.path), text }];
}

function suggestion(key: string): string {
  const known = Object.keys(settingsSchema.shape);
  const near = nearest(key, known);
  return near ? `: did you mean "${near}"?` : `; known keys: ${known.join(', ')}`;
}

function offsetOfKey(document: Document, key: string): number {
  const pair = isMap(document.contents) ? document.contents.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key) : undefined;
  return pair && isNode(pair.key) ? pair.key.range?.[0] ?? 0 : 0;
}

/** Where the value stands; a value that isn't there (`exclude:`) stands where its parent does. */
function offsetOfValue(document: Document, path: readonly PropertyKey[]): number {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isNode(node) && node.range) return node.range[0];
  return path.length === 0 ? 0 : offsetOfValue(document, path.slice(0, -1));
}

function readText(path: string, named: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new DsyncError('usage', `the configuration file ${named} can't be read: ${messageOf(error)}`, { cause: error });
  }
}

function wrong(mistakes: readonly string[]): DsyncError {
  return new DsyncError('usage', mistakes.join('\n'));
}
