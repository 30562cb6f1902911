import { BSON, BSONRegExp, BSONSymbol, Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp, UUID } from 'mongodb';
import { DsyncError } from '../../errors.js';
import { toExtendedJson } from '../../values/bson.js';
import { isObject, parseJson, type Json } from '../../values/extended-json-bytes.js';

/**
 * A document whose fields keep their order and their duplicates, which a JavaScript object does not. The driver takes
 * whatever calls itself a Map and has entries.
 */
export class Fields {
  readonly [Symbol.toStringTag] = 'Map';
  readonly list: readonly (readonly [string, unknown])[];

  constructor(list: readonly (readonly [string, unknown])[]) {
    this.list = list;
  }

  entries(): Iterator<readonly [string, unknown]> {
    return this.list[Symbol.iterator]();
  }

  get(name: string): unknown {
    return this.list.find(([field]) => field === name)?.[1];
  }
}

/** A document of the driver's values as canonical Extended JSON, its fields in their order. */
export function exact(document: object): string {
  return toExtendedJson(BSON.serialize(document));
}

/** Extended JSON, canonical or relaxed, as values of the driver: documents are `Fields`. Fails with `data`. */
export function parseExtendedJson(text: string): unknown {
  return valueOf(parseJson(text));
}

function valueOf(json: Json): unknown {
  if (json === null || typeof json !== 'object') return json;
  if ('digits' in json) return numberOf(json.digits);
  return isObject(json) ? meant(json.members.map(([name, value]) => [name, valueOf(value)] as const)) : (json as readonly Json[]).map(valueOf);
}

/** Relaxed Extended JSON: the smallest type that holds it. */
function numberOf(token: string): Int32 | Long | Double {
  if (!/^-?\d+$/.test(token)) return new Double(Number(token));
  const whole = BigInt(token);
  if (BigInt.asIntN(32, whole) === whole) return new Int32(Number(token));
  return BigInt.asIntN(64, whole) === whole ? Long.fromBigInt(whole) : new Double(Number(token));
}

/** An object as what it stands for: a wrapper such as `{"$oid": …}` is its value. Operators of filters are documents. */
function meant(fields: readonly (readonly [string, unknown])[]): unknown {
  const [first, second] = fields;
  if (!first?.[0].startsWith('$') || fields.length > 2) return new Fields(fields);
  const value = second ? pairOf(first, second) : single(first[0], first[1]);
  return value === undefined ? new Fields(fields) : value;
}

/** Undefined for what is no wrapper. */
function single(name: string, value: unknown): unknown {
  const text = () => {
    if (typeof value !== 'string') throw new DsyncError('data', `not Extended JSON: expected text for ${name}`);
    return value;
  };
  try {
    switch (name) {
      case '$oid': return ObjectId.createFromHexString(text());
      case '$numberInt': return new Int32(text());
      case '$numberLong': return Long.fromBigInt(BigInt(text()));
      case '$numberDouble': return new Double(Number(text()));
      case '$numberDecimal': return Decimal128.fromString(text());
      case '$date': return dateOf(value);
      case '$binary': return value instanceof Fields ? binaryOf(value) : undefined;
      case '$uuid': return new UUID(text()).toBinary();
      case '$symbol': return new BSONSymbol(text());
      case '$code': return new Code(text());
      case '$timestamp': return value instanceof Fields ? timestampOf(value) : undefined;
      case '$regularExpression': return value instanceof Fields ? regexOf(value) : undefined;
      case '$minKey': return new MinKey();
      case '$maxKey': return new MaxKey();
      default: return undefined;
    }
  } catch (error) {
    if (error instanceof DsyncError) throw error;
    throw new DsyncError('data', `not Extended JSON: expected a value for ${name}`);
  }
}

function pairOf([name, code]: readonly [string, unknown], [other, scope]: readonly [string, unknown]): unknown {
  return name === '$code' && other === '$scope' && typeof code === 'string' ? new Code(code, scope as never) : undefined;
}

/** Milliseconds as a Long: JavaScript's dates end at the year 275760. The serializer takes such a stand-in for a Date. */
function dateOf(value: unknown): Date {
  const moment = value instanceof Long ? value.toNumber() : typeof value === 'string' ? Date.parse(value) : Number(value);
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) throw new DsyncError('data', `a date is out of JavaScript's range: ${String(value)}`);
  return date;
}

function binaryOf(value: Fields): Binary {
  const parts = Object.fromEntries(value.list);
  return new Binary(Buffer.from(String(parts['base64']), 'base64'), Number.parseInt(String(parts['subType']), 16));
}

function timestampOf(value: Fields): Timestamp {
  const { t, i } = Object.fromEntries(value.list) as Record<string, unknown>;
  return new Timestamp({ t: Number(t), i: Number(i) });
}

function regexOf(value: Fields): BSONRegExp {
  const { pattern, options } = Object.fromEntries(value.list) as Record<string, unknown>;
  return new BSONRegExp(String(pattern), String(options));
}
