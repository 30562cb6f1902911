import type { Compared, Difference, NamespaceVerification } from '../contract.js';

/** What a verification found, for people: a line per table, then what differs, then how it was compared. */
export function formatVerification(results: readonly NamespaceVerification[]): string {
  const width = Math.max(0, ...results.map((one) => nameOf(one).length));
  return [...results.flatMap((one) => [lineOf(one, width), ...differencesOf(one)]), '', summaryOf(results), ...waysOf(results)].join('\n');
}

function lineOf(one: NamespaceVerification, width: number): string {
  return [one.result.padEnd(14), nameOf(one).padEnd(width), countsOf(one), ...(one.reason === undefined ? [] : [`(${one.reason})`])].join('  ').trimEnd();
}

function nameOf({ namespace, target }: NamespaceVerification): string {
  return namespace === target ? namespace : `${namespace} → ${target}`;
}

function countsOf(one: NamespaceVerification): string {
  const rows = one.sourceRows === one.destinationRows ? `${grouped(one.sourceRows)} rows` : `${grouped(one.sourceRows)} rows in the source, ${grouped(one.destinationRows)} in the destination`;
  const counts = (['missing', 'extra', 'changed', 'rejected'] as const).filter((what) => one[what] > 0).map((what) => `${grouped(one[what])} ${what}`);
  return [rows, ...counts].join(', ');
}

function differencesOf(one: NamespaceVerification): readonly string[] {
  const left = one.missing + one.extra + one.changed - one.differences.length;
  const lines = one.differences.flatMap(differenceOf);
  return left > 0 && lines.length > 0 ? [...lines, `  … and ${grouped(left)} more`] : lines;
}

function differenceOf({ kind, key, columns = [] }: Difference): readonly string[] {
  return [`  ${kind.padEnd(7)}  ${key}`, ...columns.map((column) => `             ${column.name}: ${column.source} in the source, ${column.destination} in the destination`)];
}

function summaryOf(results: readonly NamespaceVerification[]): string {
  const counted = (['equal', 'different', 'not-comparable'] as const).flatMap((result) => {
    const count = results.filter((one) => one.result === result).length;
    return count > 0 ? [`${grouped(count)} ${result === 'not-comparable' ? 'not comparable' : result}`] : [];
  });
  return `${grouped(results.length)} ${results.length === 1 ? 'table' : 'tables'}: ${counted.join(', ') || 'nothing was compared'}`;
}

const namesShown = 10;

/** A line for each way in which tables were compared; it names them if there are several ways. */
function waysOf(results: readonly NamespaceVerification[]): readonly string[] {
  const ways = new Map<string, NamespaceVerification[]>();
  for (const one of results) {
    const way = `${one.compared?.by ?? 'rows'} ${one.compared?.reason ?? ''}`;
    ways.set(way, [...(ways.get(way) ?? []), one]);
  }
  return [...ways.values()].map((tables) => `compared: ${wayText(tables.flatMap(({ compared }) => compared ?? []))}${ways.size > 1 ? `: ${namesText(tables)}` : ''}`);
}

function wayText(compared: readonly Compared[]): string {
  const sum = (count: (one: Compared) => number) => compared.reduce((total, one) => total + count(one), 0);
  const [first] = compared, read = sum((one) => one.read), why = first ? ` (${first.reason})` : '';
  if (first?.by !== 'digests') return `both sides read and hashed here, every row and column${why}`;
  const parts = read > 0 ? `; of ${grouped(sum((one) => one.parts))} parts, ${grouped(read)} differed and were read here` : '; no row was read here';
  return `digests of every row and column, computed in both servers${parts}${why}`;
}

function namesText(tables: readonly NamespaceVerification[]): string {
  const names = tables.slice(0, namesShown).map(({ namespace }) => namespace);
  return `${names.join(', ')}${tables.length > namesShown ? ` and ${grouped(tables.length - namesShown)} more` : ''}`;
}

function grouped(count: number): string {
  return count.toLocaleString('en');
}
