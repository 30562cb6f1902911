/**
 * JSON for values that JSON doesn't have: 64-bit integers are digits, bytes `\x` and hex (as in normal form),
 * floats that are no numbers their names.
 */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, spelled, indent);
}

// The value from the holder: a Buffer would already have been turned into an object by its toJSON.
function spelled(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  if (original instanceof Uint8Array) return `\\x${Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('hex')}`;
  if (typeof original === 'bigint') return String(original);
  if (typeof original === 'number' && !Number.isFinite(original)) return String(original);
  return value;
}
