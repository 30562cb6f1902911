/** Numbers as people read them. */

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `1,234,567` */
export function count(value: number): string {
  return grouped.format(value);
}

/** `1 row`, `2 rows` */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** `12.3 MB` */
export function bytes(value: number): string {
  const [factor, unit] = value >= 1e9 ? [1e9, 'GB'] : value >= 1e6 ? [1e6, 'MB'] : value >= 1e3 ? [1e3, 'kB'] : [1, 'B'];
  return factor === 1 ? `${Math.round(value)} B` : `${(value / factor).toFixed(1)} ${unit}`;
}

/** `0.42 s`, `12.3 s`, `2 min 5 s`, `3 h 20 min` */
export function duration(seconds: number): string {
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Cells in columns, two spaces between, without spaces at the end of a line. */
export function table(rows: readonly (readonly string[])[], indent = ''): string {
  const widths = rows.reduce<number[]>((wide, row) => row.map((cell, i) => Math.max(cell.length, wide[i] ?? 0)), []);
  return rows.map((row) => `${indent}${row.map((cell, i) => cell.padEnd(widths[i])).join('  ').trimEnd()}\n`).join('');
}
