import type { Selection } from '../contract.js';

/** Compiles a selection: does it take this namespace? Globs: `*` any characters, `?` one, with a backslash themselves. No `include` takes all. */
export function selects(selection: Selection): (namespace: string) => boolean {
  const include = (selection.include.length > 0 ? selection.include : ['*']).map(globMatcher);
  const exclude = selection.exclude.map(globMatcher);
  return (namespace) => include.some((matches) => matches(namespace)) && !exclude.some((matches) => matches(namespace));
}

/** Tables and collections of dsync's own, never copied. */
export function isOwn(name: string): boolean {
  return name.startsWith('_dsync');
}

const escaped = /\\([\\*?:.])/g;

/** The pattern that means this very name, and no other. */
export function literally(name: string): string {
  return name.replace(/[\\*?:.]/g, '\\$&');
}

/** Without the backslashes that take what follows as itself. */
export function unescaped(text: string): string {
  return text.replace(escaped, '$1');
}

/** Where this character stands with its own meaning for the first time; -1 if nowhere. */
export function meantAt(text: string, character: '*' | ':' | '.'): number {
  return text.replace(escaped, '\0\0').indexOf(character);
}

function globMatcher(glob: string): (text: string) => boolean {
  const source = glob.replace(/\\[\\*?:.]|[^\\]|\\/g, (part) => (part === '*' ? '.*' : part === '?' ? '.' : unescaped(part).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')));
  const pattern = new RegExp(`^${source}$`, 'su');
  return (text) => pattern.test(text);
}
