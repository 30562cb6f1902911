const backslash = 0x5c;
const formFeed = Buffer.from('\\f'), verticalTab = Buffer.from('\\v');

/** PostgreSQL writes form feeds and vertical tabs as `\f` and `\v`, which LOAD DATA would read as letters: they become the bytes themselves. */
export function withoutPostgresEscapes(bytes: Uint8Array): Uint8Array {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!source.includes(formFeed) && !source.includes(verticalTab)) return bytes;
  const out = Buffer.allocUnsafe(source.length);
  let to = 0, from = 0;
  for (let at = source.indexOf(backslash); at !== -1; at = source.indexOf(backslash, at + 2)) {
    const byte = source[at + 1] === 0x66 ? 0x0c : source[at + 1] === 0x76 ? 0x0b : undefined;
    if (byte === undefined) continue;
    to += source.copy(out, to, from, at);
    out[to++] = byte;
    from = at + 2;
  }
  to += source.copy(out, to, from);
  return out.subarray(0, to);
}
