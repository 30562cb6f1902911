import { isObject, parseJson, type Json, type JsonObject } from './extended-json-bytes.js';

/** The column `rest` of a document (values/columns.ts) without what it tells of fields that are not to be told; null where nothing is left to tell. */
export function forgetting(isGone: (field: string) => boolean): (rest: string) => string | null {
  return (rest) => {
    const json = parseJson(rest);
    if (!isObject(json) || !json.members.some(([part, value]) => part === 'fields' && isObject(value) && value.members.some(([name]) => isGone(name)))) return rest;
    const members = json.members.map(([part, value]) => [part, part === 'fields' && isObject(value) ? without(value, isGone) : value] as const);
    const isEmpty = members.every(([part, value]) => part === 'v' || (part === 'fields' && isObject(value) && value.members.length === 0));
    return isEmpty ? null : spelled({ members });
  };
}

function without({ members }: JsonObject, isGone: (field: string) => boolean): JsonObject {
  return { members: members.filter(([name]) => !isGone(name)) };
}

function spelled(json: Json): string {
  if (json === null || typeof json === 'boolean' || typeof json === 'string') return JSON.stringify(json);
  if (isObject(json)) return `{${json.members.map(([name, value]) => `${JSON.stringify(name)}:${spelled(value)}`).join(',')}}`;
  return 'digits' in json ? json.digits : `[${json.map(spelled).join(',')}]`;
}
