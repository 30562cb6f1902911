import type { Column, LogicalType, Value } from '../contract.js';

const longest = 1000;
/** PostgreSQL's `name` has 63 bytes. */
const nameCharacters = 15;

/** Values at the edges of a column's type that the column itself can hold, in normal form. None for types that only the engine itself can spell. */
export function extremesOf({ type, native }: Pick<Column, 'type' | 'native'>, engine: string): readonly Exclude<Value, null>[] {
  const isPostgres = engine === 'postgres', isMysql = engine === 'mysql' || engine === 'mariadb';
  switch (type.kind) {
    case 'bool': return [true, false];
    case 'int': return isMysql && /^year/i.test(native) ? [0, 1901, 2155] : integers(type.bits, type.signed);
    case 'decimal': return [...decimals(type), ...(isPostgres ? ['NaN', ...(type.precision === undefined ? ['Infinity', '-Infinity'] : [])] : [])];
    case 'float': return [...(type.bits === 32 ? [0.1, 3.4028234663852886e38, 1.401298464324817e-45].map(Math.fround) : [0.1, 0.30000000000000004, 1.7976931348623157e308, 5e-324]), 0, -0, ...(isMysql ? [] : [Infinity, -Infinity]), ...(isPostgres ? [NaN] : [])];
    case 'text': return texts(isPostgres && native === 'name' ? nameCharacters : type.maxLength, isPostgres, isMysql ? wideIn(native) : '😀').map((text) => (type.padded ? text.trimEnd() : text));
    case 'bytes': return [...(isMysql && /^binary/i.test(native) ? [] : [Buffer.alloc(0)]), Buffer.from(Array.from({ length: 256 }, (_, i) => i)).subarray(0, type.maxLength ?? 256)];
    case 'date': return days(engine);
    case 'time': return ['00:00:00', `23:59:59${nines(type.fraction)}`, ...(isPostgres ? ['24:00:00'] : []), ...(isMysql ? ['-838:59:59', '838:59:59'] : [])];
    case 'timestamp': return [...days(engine).map((day) => atMidnight(day)), `2024-02-29 23:59:59${nines(type.fraction)}`];
    case 'instant': return isMysql ? ['1970-01-01 00:00:01', `2038-01-19 03:14:07${nines(type.fraction)}`, '0000-00-00 00:00:00'] : [...days(engine).map((day) => atMidnight(day)), `2024-02-29 23:59:59${nines(type.fraction)}`];
    case 'uuid': return ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'];
    case 'json-text': return ['{"b" : 1.10,  "a": 12345678901234567890}', 'null', '"\\u0000"'];
    case 'json-value': return ['{"a": 1.5, "b": [true, null]}', 'null', '"é😀"'];
    case 'enum': return type.labels;
    case 'set': return ['', ...type.labels.slice(0, 1), type.labels.join(',')];
    case 'bits': return type.length === undefined ? ['', '0', '1'.repeat(70)] : ['0'.repeat(type.length), '1'.repeat(type.length), ...(type.varying ? ['', '0'] : [])];
    case 'native': case 'any': case 'document': case 'document-id': return [];
    default: return type satisfies never;
  }
}

function integers(bits: 8 | 16 | 24 | 32 | 64, signed: boolean): readonly (number | bigint)[] {
  const top = 2n ** BigInt(signed ? bits - 1 : bits), all = [signed ? -top : 0n, 0n, top - 1n];
  return bits === 64 ? all : all.map(Number);
}

function decimals({ precision, scale = 0 }: Extract<LogicalType, { kind: 'decimal' }>): readonly string[] {
  if (precision === undefined) return ['0', '-0.10', `1${'0'.repeat(40)}.5`, `0.${'0'.repeat(40)}1`];
  if (scale < 0) return ['0', `-${'9'.repeat(precision)}${'0'.repeat(-scale)}`];
  const most = scale === 0 ? '9'.repeat(precision) : `${'9'.repeat(Math.max(0, precision - scale)) || '0'}.${'9'.repeat(precision).slice(-scale).padStart(scale, '0')}`;
  return [most, `-${most}`, scale === 0 ? '0' : `0.${'0'.repeat(scale)}`];
}

/** The widest character that a column's character set has. */
function wideIn(native: string): string {
  const charset = /CHARACTER SET (\w+)/i.exec(native)?.[1] ?? 'utf8mb4';
  return /^(utf8mb4|utf16|utf16le|utf32)$/.test(charset) ? '😀' : /^(utf8|utf8mb3|ucs2)$/.test(charset) ? '€' : 'z';
}

function texts(maxLength: number | undefined, isPostgres: boolean, wide: string): readonly string[] {
  const length = Math.min(maxLength ?? longest, longest);
  return ['', wide.repeat(length), ...['trail ', '\t\n\r\\N\f\v', ...(wide === 'z' ? [] : ['e\u0301']), ...(isPostgres ? [] : ['a\0b'])].filter((text) => text.length <= length)];
}

function days(engine: string): readonly string[] {
  switch (engine) {
    case 'postgres': return ['0001-01-01', '9999-12-31', '10000-01-01', '0044-03-15 BC', 'infinity', '-infinity'];
    case 'mysql': case 'mariadb': return ['0000-00-00', '2024-00-00', '1000-01-01', '9999-12-31'];
    default: return ['0001-01-01', '9999-12-31'];
  }
}

function atMidnight(day: string): string {
  return day.endsWith('infinity') ? day : day.replace(/^(\S+)/, '$1 00:00:00');
}

function nines(fraction: number): string {
  return fraction > 0 ? `.${'9'.repeat(Math.min(fraction, 6))}` : '';
}
