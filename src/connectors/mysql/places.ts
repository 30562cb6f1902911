import { GtidSet, MariadbGtidPosition } from '@vlasky/zongji';
import type { Position } from '../../contract.js';
import type { Version } from './session.js';

/**
 * A position is a GTID set of MySQL (`uuid:1-5:7,uuid2:tag:1-3`), a GTID position of MariaDB (`0-1-1234,1-3-45`), or
 * `file:offset` where the server counts no GTIDs, or none yet.
 */
export interface FilePlace { readonly file: string; readonly at: number }

export function filePlaceOf(position: Position): FilePlace | undefined {
  const [, file, at] = /^([^,]*\.\d{6,}):(\d+)$/.exec(position) ?? [];
  return file === undefined ? undefined : { file, at: Number(at) };
}

/** Is `position` at or after `goal`? A run's positions are of one kind; a place in a file is taken to be before every GTID. */
export function reached(position: Position, goal: Position): boolean {
  const [here, there] = [filePlaceOf(position), filePlaceOf(goal)];
  if (here && there) return compareFiles(here, there) >= 0;
  if (there || goal === '') return true;
  if (here) return false;
  return goal.includes(':') ? coversSet(position, goal) : coversDomains(position, goal);
}

function compareFiles(a: FilePlace, b: FilePlace): number {
  const number = ({ file }: FilePlace) => Number(file.slice(file.lastIndexOf('.') + 1));
  return number(a) - number(b) || a.at - b.at;
}

function coversDomains(position: Position, goal: Position): boolean {
  const last = new Map(entries(position).map((gtid) => [gtid.split('-')[0], BigInt(gtid.split('-')[2])]));
  return entries(goal).every((gtid) => (last.get(gtid.split('-')[0]) ?? -1n) >= BigInt(gtid.split('-')[2]));
}

function coversSet(position: Position, goal: Position): boolean {
  const own = intervalsOf(position);
  return [...intervalsOf(goal)].every(([source, wanted]) =>
    wanted.every(([from, to]) => own.get(source)?.some(([start, end]) => start <= from && end >= to)));
}

type Intervals = readonly (readonly [bigint, bigint])[];

/** By server UUID and tag; neighbouring intervals are one in what a server or `GtidSet` spells. */
function intervalsOf(text: Position): ReadonlyMap<string, Intervals> {
  const found = new Map<string, (readonly [bigint, bigint])[]>();
  for (const entry of entries(GtidSet.parse(text).toString())) {
    const [uuid, ...parts] = entry.split(':');
    let source = uuid;
    for (const part of parts) {
      const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
      if (from === undefined) source = `${uuid}:${part}`;
      else found.set(source, [...(found.get(source) ?? []), [BigInt(from), BigInt(to ?? from)]]);
    }
  }
  return found;
}

function entries(text: Position): string[] {
  return text.split(',').map((entry) => entry.trim()).filter(Boolean);
}

/** Follows the position from transaction to transaction. */
export interface Track {
  /** A transaction begins. */
  begin(gtid: string | undefined): void;
  /** The stream goes on in this file. */
  file(name: string): void;
  /** The transaction, or a statement that is one, ended here. */
  end(offset: number): void;
  /** Something that belongs to no transaction ended here. */
  passed(offset: number): void;
  text(): Position;
}

export function trackFrom(position: Position, flavour: Version['flavour']): Track {
  const place = filePlaceOf(position);
  if (place) return trackOfFiles(place);
  const set = flavour === 'mariadb' ? mariadbSet(position) : GtidSet.parse(position);
  let open: string | undefined;
  return {
    begin(gtid) { open = gtid; },
    file() {},
    end() {
      if (open !== undefined) set.add(open);
      open = undefined;
    },
    passed() {},
    text: () => set.toString(),
  };
}

function trackOfFiles(place: FilePlace): Track {
  let { file, at } = place;
  const end = (offset: number) => { at = Math.max(at, offset); };
  return {
    begin() {},
    file(name) {
      if (name !== file) at = 4;
      file = name;
    },
    end, passed: end,
    text: () => `${file}:${at}`,
  };
}

function mariadbSet(position: Position): { add(gtid: string): void; toString(): string } {
  const set = MariadbGtidPosition.parse(position);
  return {
    add(gtid) {
      const [domainId, serverId, seqNo] = gtid.split('-');
      set.add({ domainId: Number(domainId), serverId: Number(serverId), seqNo });
    },
    toString: () => set.toString(),
  };
}
