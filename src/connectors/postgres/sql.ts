/** A name as SQL takes it, whatever it contains. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string as SQL takes it, under `standard_conforming_strings`. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function qualified({ schema, name }: { readonly schema?: string; readonly name: string }): string {
  return schema === undefined ? quoted(name) : `${quoted(schema)}.${quoted(name)}`;
}

/** A "char" as PostgreSQL 16 and later spell it: before, a byte above 127 comes as it is, and is no text. */
export function spelledChar(own: string): string {
  const byte = `(${own}::int + 256)`;
  return `CASE WHEN ${own}::int < 0 THEN '\\' || ${byte} / 64 || ${byte} / 8 % 8 || ${byte} % 8 ELSE ${own}::text END`;
}

export function list(names: readonly string[]): string {
  return names.map(quoted).join(', ');
}
