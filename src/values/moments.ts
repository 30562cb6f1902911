import { trimFraction } from './normal.js';

const spelled = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?$/;

/** Reads `2024-02-29`, `2024-02-29T12:34:56.5+02:00` and their kin; returns the moment in normal form, in UTC. Undefined for what is none. */
export function spelledMoment(text: string): string | undefined {
  const match = spelled.exec(text.trim());
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  if (!isDay(Number(year), Number(month), Number(day)) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const plain = `${year}-${month}-${day} ${hour}:${minute}:${second}`, minutes = minutesOf(zone);
  const shifted = minutes === 0 ? plain : new Date(Date.parse(`${plain.replace(' ', 'T')}Z`) - minutes * 60_000).toISOString().slice(0, 19).replace('T', ' ');
  return /^\d{4}-/.test(shifted) ? trimFraction(fraction ? `${shifted}.${fraction}` : shifted) : undefined;
}

/** Is there such a day? */
export function isDay(year: number, month: number, day: number): boolean {
  return year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function minutesOf(zone: string): number {
  const [, sign, hours, minutes = '0'] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  return sign === undefined ? 0 : (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

/** The reading with no more decimals of a second; undefined where it has more, and they may not be cut. */
export function fitFraction(text: string, digits: number, cuts: boolean): string | undefined {
  const dot = text.indexOf('.');
  if (dot < 0) return text;
  const [, fraction = ''] = /^(\d*)/.exec(text.slice(dot + 1)) ?? [], rest = text.slice(dot + 1 + fraction.length);
  if (fraction.replace(/0+$/, '').length <= digits) return trimFraction(text);
  return cuts ? trimFraction(`${text.slice(0, dot)}.${fraction.slice(0, digits)}`) + rest : undefined;
}
