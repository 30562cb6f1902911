import type { Column, Value } from '../contract.js';
import { isDay } from './moments.js';
import { parsedNumber } from './numerals.js';
import { spellAny } from './normal.js';

/** Why a column can't hold a value in normal form; undefined where it can, as far as that is known without asking its server. */
export type Refusal = (value: Exclude<Value, null>) => string | undefined;

/** Compiles the test for a column of a destination (docs/rules.md names what it finds). */
export function refusalOf({ type, native, engine }: Pick<Column, 'type' | 'native'> & { readonly engine: string }): Refusal {
  const isMysql = engine === 'mysql' || engine === 'mariadb';
  switch (type.kind) {
    case 'int': return intRefusal(type.bits, type.signed);
    case 'decimal': return decimalRefusal(type.precision, type.scale ?? 0, !isMysql);
    case 'float': return (value) => (typeof value !== 'number' ? undefined : isMysql && !Number.isFinite(value) ? `${native} has no ${value}`
      : engine === 'sqlite' && Number.isNaN(value) ? 'SQLite has no NaN' : type.bits === 32 && Number.isFinite(value) && !Number.isFinite(Math.fround(value)) ? `${value} is out of the range of ${native}` : undefined);
    case 'text': return textRefusal(type.maxLength, engine);
    case 'bytes': return (value) => (value instanceof Uint8Array && type.maxLength !== undefined && value.length > type.maxLength ? `${value.length} bytes are more than ${type.maxLength}` : undefined);
    case 'date': case 'timestamp': case 'instant': return isMysql ? mysqlMoment(type.kind === 'instant') : engine === 'postgres' ? postgresMoment : none;
    case 'time': return isMysql ? (value) => timeRefusal(value, 838, '838:59:59') : engine === 'postgres' ? (value) => timeRefusal(value, 24, '24:00:00', true) : none;
    case 'uuid': return (value) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(String(value)) ? undefined : `${shown(value)} is no UUID`);
    case 'json-text': case 'json-value': return engine === 'postgres' || isMysql ? jsonRefusal(native === 'jsonb') : none;
    case 'enum': return (value) => (type.labels.includes(String(value)) ? undefined : `${shown(value)} is none of the labels`);
    case 'set': return (value) => (String(value).split(',').every((label) => label === '' || type.labels.includes(label)) ? undefined : `${shown(value)} has other labels`);
    case 'bits': return (value) => (type.length !== undefined && String(value).length > type.length ? `${String(value).length} bits are more than ${type.length}` : undefined);
    case 'bool': case 'native': case 'any': case 'document': case 'document-id': return engine === 'postgres' ? textRefusal(undefined, engine) : none;
    default: return type satisfies never;
  }
}

const none: Refusal = () => undefined;

function shown(value: Exclude<Value, null>): string {
  const text = spellAny(value);
  return `'${text.length > 60 ? `${text.slice(0, 59)}…` : text}'`;
}

function intRefusal(bits: number, signed: boolean): Refusal {
  const least = signed ? -(2n ** BigInt(bits - 1)) : 0n, most = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  const isInt = (value: Exclude<Value, null>) => typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
  return (value) => (typeof value === 'boolean' || (isInt(value) && BigInt(value as number) >= least && BigInt(value as number) <= most) ? undefined : `${shown(value)} is not between ${least} and ${most}`);
}

function decimalRefusal(precision: number | undefined, scale: number, hasNaN: boolean): Refusal {
  return (value) => {
    const text = spellAny(value);
    if (text === 'NaN') return hasNaN ? undefined : 'the column has no NaN';
    if (/^-?Infinity$/.test(text)) return hasNaN && precision === undefined ? undefined : 'the column has no infinity';
    const number = parsedNumber(text);
    if (!number) return `${shown(value)} is no number`;
    return precision !== undefined && (number.whole.length > precision - scale || number.fraction.length > Math.max(scale, 0)) ? `${shown(value)} has more digits than (${precision},${scale})` : undefined;
  };
}

function textRefusal(maxLength: number | undefined, engine: string): Refusal {
  return (value) => {
    if (typeof value !== 'string') return undefined;
    if (engine === 'postgres' && value.includes('\0')) return 'PostgreSQL keeps no 0x00 in text';
    if (maxLength === undefined || value.length <= maxLength) return undefined;
    const length = [...value].length;
    return length > maxLength ? `${length} characters are more than ${maxLength}` : undefined;
  };
}

function parts(text: string): readonly [number, number, number] | undefined {
  const match = /^(\d{4,})-(\d\d)-(\d\d)/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

function postgresMoment(value: Exclude<Value, null>): string | undefined {
  const text = String(value), day = parts(text);
  return /^-?infinity$/.test(text) || (day && isDay(...day)) ? undefined : `${shown(value)} is no day of the calendar`;
}

/** Zero dates are its own; TIMESTAMP is from 1970 to 2038. */
function mysqlMoment(isTimestamp: boolean): Refusal {
  return (value) => {
    const text = String(value);
    if (!/^\d{4}-\d\d-\d\d(?! BC)/.test(text) || text.endsWith('BC')) return `${shown(value)} is out of MySQL's calendar`;
    return isTimestamp && !text.startsWith('0000-00-00') && (text < '1970-01-01 00:00:01' || text >= '2038-01-19 03:14:08') ? `${shown(value)} is out of the range of TIMESTAMP` : undefined;
  };
}

function timeRefusal(value: Exclude<Value, null>, most: number, named: string, isOfDay = false): string | undefined {
  const [, minus, hours, rest] = /^(-?)(\d+):(.*)$/.exec(String(value)) ?? [];
  if (hours === undefined) return `${shown(value)} is no time`;
  const isPast = Number(hours) > most || (isOfDay && Number(hours) === most && !/^00:00(\.0*)?$/.test(rest!));
  return isPast || (isOfDay && minus === '-') ? `${shown(value)} is not between ${isOfDay ? '00:00:00' : `-${named}`} and ${named}` : undefined;
}

function jsonRefusal(isJsonb: boolean): Refusal {
  return (value) => {
    const text = String(value);
    try {
      JSON.parse(text);
    } catch {
      return `${shown(value)} is no JSON`;
    }
    return isJsonb && /(?<!\\)(\\\\)*\\u0000/.test(text) ? 'jsonb has no \\u0000' : undefined;
  };
}
