import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RejectLine, ReplayOutcome, ReplayPlan } from '../contract.js';
import { appendLines, linesOf, nameOf, readRejects, replaceRejects, syncFolder, writeNew } from './rejects.js';

/** Lines that others have taken the place of are left in the file as long as they are fewer than this, or than those that count. */
const fewSuperseded = 1000;

/**
 * The reject file of one run, which one process at a time changes. The last line of a key counts; what it has taken the
 * place of is left out when the file is written anew.
 *
 * A replay ends in three steps, so that it ends once: what is left is written beside the file, the plan is renamed, what is
 * left takes the file's place. A process that finds the plan renamed does the last step.
 */
export class RejectFile {
  readonly path: string;
  #keys: Map<string, Set<string>> | undefined;
  #keyless = 0;
  #superseded = 0;

  constructor(path: string) {
    this.path = path;
  }

  get count(): number {
    return [...this.keys.values()].reduce((sum, keys) => sum + keys.size, 0) + this.#keyless;
  }

  /** Namespace → keys of its rows. */
  get keys(): ReadonlyMap<string, ReadonlySet<string>> {
    if (this.#keys) return this.#keys;
    this.#settle();
    return this.#count(readRejects(this.path).map(({ line }) => line));
  }

  append(lines: readonly RejectLine[]): void {
    if (lines.length === 0) return;
    void this.keys;
    appendLines(this.path, lines);
    for (const line of lines) this.#take(line);
    if (this.#superseded > Math.max(fewSuperseded, this.count)) this.compact();
  }

  /** Leaves out what other lines have taken the place of. */
  compact(): void {
    if (this.#superseded > 0) this.#replace(this.#lines());
  }

  drop(namespace: string): void {
    if (!this.keys.has(namespace)) return;
    const lines = this.#lines();
    appendLines(this.#replayed, lines.flatMap((line) => (line.namespace === namespace && line.position !== undefined ? [{ ...line, done: 'anew' }] : [])));
    this.#replace(lines.filter((line) => line.namespace !== namespace));
  }

  /** Those of these lines that never were here. */
  untold(lines: readonly RejectLine[]): readonly RejectLine[] {
    void this.keys;
    const told = new Map<string, number>(), idOf = ({ namespace, key, position }: RejectLine) => `${position}\n${nameOf({ namespace, key })}`;
    for (const path of [this.path, this.#replayed]) {
      for (const text of linesOf(path)) {
        const id = idOf(JSON.parse(text) as RejectLine);
        told.set(id, (told.get(id) ?? 0) + 1);
      }
    }
    return lines.filter((line) => {
      const left = told.get(idOf(line)) ?? 0;
      told.set(idOf(line), left - 1);
      return left <= 0;
    });
  }

  keepPlan({ id, lines }: ReplayPlan): void {
    writeNew(`${this.#plan}.next`, [{ id }, ...lines]);
    renameSync(`${this.#plan}.next`, this.#plan);
    syncFolder(dirname(this.path));
  }

  keptPlan(): ReplayPlan | undefined {
    this.#settle();
    if (!existsSync(this.#plan)) return undefined;
    const [head, ...lines] = [...linesOf(this.#plan)].map((line) => JSON.parse(line) as unknown);
    return { id: (head as { id: string }).id, lines: lines as RejectLine[] };
  }

  endReplay(id: string, outcomes: readonly ReplayOutcome[]): void {
    const left = withoutDone(this.#lines(), outcomes);
    this.#archive(id, outcomes);
    if (!existsSync(this.#plan)) return this.#replace(left);
    writeNew(this.#left, left);
    renameSync(this.#plan, this.#ended);
    syncFolder(dirname(this.path));
    this.#settle();
    this.#count(left);
  }

  replayed(): readonly RejectLine[] {
    return [...linesOf(this.#replayed)].map((text) => JSON.parse(text) as RejectLine);
  }

  remove(): void {
    for (const path of [this.path, `${this.path}.next`, this.#replayed, this.#plan, `${this.#plan}.next`, this.#ended, this.#left]) rmSync(path, { force: true });
  }

  get #plan(): string { return this.#beside('replaying'); }
  get #ended(): string { return this.#beside('replaying.ended'); }
  get #left(): string { return this.#beside('replaying.left'); }
  get #replayed(): string { return this.#beside('replayed'); }

  #beside(what: string): string {
    return this.path.replace(/\.ndjson$/, `.${what}.ndjson`);
  }

  #lines(): readonly RejectLine[] {
    return readRejects(this.path).map(({ line }) => line);
  }

  #settle(): void {
    if (!existsSync(this.#ended)) return;
    if (existsSync(this.#left)) renameSync(this.#left, this.path);
    syncFolder(dirname(this.path));
    rmSync(this.#ended, { force: true });
  }

  /** An earlier try may have written some of them, in the same order. */
  #archive(id: string, outcomes: readonly ReplayOutcome[]): void {
    const done = outcomes.flatMap(({ line, done }) => (done ? [{ ...line, replay: id, done }] : []));
    let before = 0;
    for (const text of linesOf(this.#replayed)) if ((JSON.parse(text) as { replay: string }).replay === id) before++;
    appendLines(this.#replayed, done.slice(before));
  }

  #replace(lines: readonly RejectLine[]): void {
    if (lines.length === 0) rmSync(this.path, { force: true });
    else replaceRejects(this.path, lines);
    this.#count(lines);
  }

  #count(lines: readonly RejectLine[]): ReadonlyMap<string, ReadonlySet<string>> {
    this.#keys = new Map();
    this.#keyless = this.#superseded = 0;
    for (const line of lines) this.#take(line);
    return this.#keys;
  }

  #take(line: RejectLine): void {
    const keys = this.#keys!, known = keys.get(line.namespace) ?? new Set();
    keys.set(line.namespace, known);
    if (known.has(line.key)) line.keyless ? this.#keyless++ : this.#superseded++;
    known.add(line.key);
  }
}

/** One line goes for each that is done; the others of those outcomes get their new reasons. */
function withoutDone(lines: readonly RejectLine[], outcomes: readonly ReplayOutcome[]): readonly RejectLine[] {
  const done = new Map<string, number>(), reasons = new Map<string, string>();
  for (const { line, done: isDone, reason } of outcomes) {
    if (isDone) done.set(nameOf(line), (done.get(nameOf(line)) ?? 0) + 1);
    else if (reason !== undefined) reasons.set(nameOf(line), reason);
  }
  return lines.flatMap((line) => {
    const name = nameOf(line), left = done.get(name) ?? 0;
    if (left > 0) done.set(name, left - 1);
    return left > 0 ? [] : [{ ...line, reason: reasons.get(name) ?? line.reason }];
  });
}
