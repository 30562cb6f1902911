import type { Selection } from '../contract.js';

/** Compiles a selection: does it take this namespace? Globs: `*` any characters, `?` one. No `include` takes all. */
export function selects(selection: Selection): (namespace: string) => boolean {
  const include = (selection.include.length > 0 ? selection.include : ['*']).map(globMatcher);
  const exclude = selection.exclude.map(globMatcher);
  return (namespace) => include.some((matches) => matches(namespace)) && !exclude.some((matches) => matches(namespace));
}

/** Tables and collections of dsync's own, never copied. */
export function isOwn(name: string): boolean {
  return name.startsWith('_dsync');
}

function globMatcher(glob: string): (text: string) => boolean {
  const source = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
  const pattern = new RegExp(`^${source}$`, 'su');
  return (text) => pattern.test(text);
}
