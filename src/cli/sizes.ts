/** Sizes, batches and rates as people write them. Each returns nothing for what it can't read. */

const units: Readonly<Record<string, number>> = {
  b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30,
};
const seconds: Readonly<Record<string, number>> = { s: 1, sec: 1, second: 1, min: 60, minute: 60, h: 3600, hour: 3600 };

/** Bytes: `128MB`, `64 MiB`, `1000000`. */
export function sizeOf(text: string): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = units[(unit || 'b').toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : positive(Math.floor(Number(digits) * factor));
}

/** `5000 rows`, or `5000`. */
export function rowsOf(text: string): number | undefined {
  const [, digits] = /^(\d+)\s*(?:rows?)?$/i.exec(text.trim()) ?? [];
  return digits === undefined ? undefined : positive(Number(digits));
}

/** A batch is closed at so many bytes (`4MB`), rows (`5000`, `5000 rows`), or whichever comes first (`4MB, 5000 rows`). */
export function batchOf(text: string): { readonly bytes?: number; readonly rows?: number } | undefined {
  return either(text, (part) => rowsOf(part), (part) => sizeOf(part));
}

/** `5000 rows/s`, `20MB/s`, `1GB/min`, or both: `5000 rows/s, 20MB/s`. Per second. */
export function rateOf(text: string): { readonly bytes?: number; readonly rows?: number } | undefined {
  const perSecond = (part: string, amountOf: (amount: string) => number | undefined) => {
    const [, amount, unit] = /^(.+?)\s*\/\s*([a-z]+)$/i.exec(part.trim()) ?? [];
    const found = amount === undefined ? undefined : amountOf(amount);
    const time = seconds[unit?.toLowerCase() ?? ''];
    return found === undefined || time === undefined ? undefined : found / time;
  };
  // A bare number would be rows as well as bytes: here the unit has to be said.
  return either(text, (part) => perSecond(part, (amount) => (/row/i.test(amount) ? rowsOf(amount) : undefined)), (part) => perSecond(part, (amount) => (/b$/i.test(amount) ? sizeOf(amount) : undefined)));
}

/** Milliseconds: `90s`, `10m`, `1 h`, `600` (seconds). */
export function durationOf(text: string): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = unit?.toLowerCase() === 'm' ? 60 : seconds[(unit || 's').toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : positive(Math.round(Number(digits) * factor * 1000));
}

function either(text: string, rows: (part: string) => number | undefined, bytes: (part: string) => number | undefined): { bytes?: number; rows?: number } | undefined {
  const found: { bytes?: number; rows?: number } = {};
  for (const part of text.split(',')) {
    const asRows = rows(part), asBytes = asRows === undefined ? bytes(part) : undefined;
    if (asRows !== undefined && found.rows === undefined) found.rows = asRows;
    else if (asBytes !== undefined && found.bytes === undefined) found.bytes = asBytes;
    else return undefined;
  }
  return found;
}

function positive(value: number): number | undefined {
  return value > 0 && Number.isSafeInteger(value) ? value : undefined;
}
