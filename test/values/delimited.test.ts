import { BSON } from 'mongodb';
import { describe, expect, it } from 'vitest';
import type { Column, LogicalType, Row, Value } from '../../src/contract.js';
import { cellsOfLine, decodeDelimited, encodeDelimited, lineCount, lineStarts } from '../../src/values/delimited.js';
import { parseCell, spellCell, spellFloat32, trimFraction } from '../../src/values/normal.js';

const column = (type: LogicalType): Column => ({ name: 'c', type, native: 'x', nullable: true });
const text: LogicalType = { kind: 'text' };

describe('delimited rows', () => {
  it.each<[string, LogicalType, Value]>([
    ['null beside the text \\N', text, '\\N'], ['null', text, null], ['empty text', text, ''],
    ['every escape', text, '\\ \t \n \r \b \f \v \0 \\N \\t'], ['four-byte UTF-8', text, '𝄞😀é'],
    ['bool', { kind: 'bool' }, true], ['int64 limits', { kind: 'int', bits: 64, signed: true }, -9223372036854775808n],
    ['uint64', { kind: 'int', bits: 64, signed: false }, 18446744073709551615n], ['int32', { kind: 'int', bits: 32, signed: true }, -2147483648],
    ['decimal', { kind: 'decimal' }, '-99999999999999999999999999999999999999.10'], ['float64', { kind: 'float', bits: 64 }, 5e-324],
    ['float32', { kind: 'float', bits: 32 }, Math.fround(0.1)], ['infinity', { kind: 'float', bits: 64 }, -Infinity], ['minus zero', { kind: 'float', bits: 64 }, -0],
    ['bytes', { kind: 'bytes' }, Buffer.from([0, 9, 10, 92, 255])], ['empty bytes', { kind: 'bytes' }, Buffer.alloc(0)],
    ['timestamp', { kind: 'timestamp', fraction: 6 }, '2024-01-02 03:04:05.123456'],
  ])('bring back %s', (_, type, value) => {
    const columns = [column(text), column(type), column(text)];
    const row: Row = ['left', value, 'right'];
    expect(decodeDelimited(columns)(encodeDelimited(columns)([row, row]))).toEqual([row, row]);
  });

  it('read what PostgreSQL escapes beyond what is needed', () => {
    expect(decodeDelimited([column(text)])(Buffer.from('a\\bb\\fc\\vd\\\\e\n'))).toEqual([['a\bb\fc\vd\\e']]);
  });

  it('are counted and cut by their newlines', () => {
    const bytes = Buffer.from('a\\nb\t1\n\\N\t2\n');
    expect(lineCount(bytes)).toBe(2);
    expect(lineStarts(bytes)).toEqual([0, 7]);
    expect(cellsOfLine(bytes, 0, 6)).toEqual(['a\nb', '1']);
    expect(cellsOfLine(bytes, 7, bytes.length - 1)).toEqual([null, '2']);
  });

  it('keep a thousand rows in order', () => {
    const columns = [column({ kind: 'int', bits: 32, signed: true })];
    const rows = Array.from({ length: 1000 }, (_, i) => [i]);
    expect(decodeDelimited(columns)(encodeDelimited(columns)(rows))).toEqual(rows);
  });
});

describe('the normal form', () => {
  it.each([
    ['12:00:00.500000', '12:00:00.5'], ['12:00:00.000000', '12:00:00'], ['12:00:00', '12:00:00'],
    ['0044-03-15 00:00:00.120 BC', '0044-03-15 00:00:00.12 BC'], ['0044-03-15 00:00:00.000 BC', '0044-03-15 00:00:00 BC'], ['infinity', 'infinity'],
  ])('spells %s as %s', (given, spelled) => {
    expect(trimFraction(given)).toBe(spelled);
  });

  it.each([0.1, 3.4028235e38, 1e-45, 16777216, 0.3, 1 / 3, 123456.79])('spells the float32 of %s with the fewest digits that bring it back', (value) => {
    const single = Math.fround(value);
    expect(Math.fround(Number(spellFloat32(single)))).toBe(single);
    expect(spellFloat32(Math.fround(0.1))).toBe('0.1');
  });

  it('makes Extended JSON of a document, whether it comes as bytes or as text', () => {
    const type: LogicalType = { kind: 'document' }, json = '{"_id":{"$numberInt":"1"},"a":"é"}', bytes = BSON.serialize({ _id: 1, a: 'é' });
    expect([spellCell(type)(bytes), spellCell(type)(json), parseCell(type)(json)]).toEqual([json, json, json]);
  });

  it('reads back what it spells', () => {
    const type: LogicalType = { kind: 'instant', fraction: 6 };
    expect(parseCell(type)(spellCell(type)('2024-01-02 03:04:05.100000'))).toBe('2024-01-02 03:04:05.1');
  });
});
