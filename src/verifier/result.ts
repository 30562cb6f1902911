import type { Compared, ComparedPart, Difference, NamespaceVerification } from '../contract.js';
import { persisting, type Course, type Verdict } from './course.js';
import { hex, nothing, plus, type Digest } from './digest.js';
import { compareKeys } from './key.js';
import { equalLook, type Look } from './part.js';
import { destination, source, type Side } from './rows.js';

export function finishedOf(look: Look): ComparedPart {
  return { rows: look.digests[source].rows, digest: hex(look.digests[source]), rejected: look.rejected };
}

export function lookOf({ rows, digest, rejected }: ComparedPart): Look {
  const both: Digest = { rows, first: BigInt(`0x${digest.slice(0, 16)}`), second: BigInt(`0x${digest.slice(16)}`) };
  return equalLook([both, both], rejected);
}

/** What is told of a table when the verdict is in. */
export function verificationOf(course: Course, verdict: Verdict, listed: number): NamespaceVerification {
  const { mapping } = course.table, looks = course.parts.map((part) => course.found.get(part)!);
  const sum = (count: (look: Look) => number) => looks.reduce((total, look) => total + count(look), 0);
  const side = (which: Side) => looks.reduce((total, look) => plus(total, look.digests[which]), nothing);
  const rejected = sum((look) => look.rejected);
  return {
    namespace: mapping.source.namespace, target: mapping.target.namespace,
    result: verdict.result, ...(verdict.reason !== undefined && { reason: verdict.reason }),
    sourceRows: side(source).rows + rejected, destinationRows: side(destination).rows,
    sourceDigest: hex(side(source)), destinationDigest: hex(side(destination)),
    missing: sum((look) => look.missing), extra: sum((look) => look.extra), changed: sum((look) => look.changed), rejected,
    differences: differencesOf(course, verdict, listed), ...comparedOf(course), seconds: (performance.now() - course.startedAt) / 1000,
  };
}

function differencesOf(course: Course, { persisting: only }: Verdict, listed: number): readonly Difference[] {
  const all = course.parts.flatMap((part) => (only ? persisting(course, part) : course.found.get(part)!.listed));
  return [...all].sort((a, b) => compareKeys(a.key, b.key)).slice(0, listed).map((one) => one.difference);
}

function comparedOf({ means, parts, read }: Course): { readonly compared?: Compared } {
  if (!means) return {};
  const { by, reason } = means, failure = [...read.values()].find((text) => text !== undefined);
  const all = failure === undefined ? reason : `${reason}; of some rows a server computed no digest: ${failure}`;
  return { compared: { by, reason: all, parts: parts.length, read: by === 'rows' ? parts.length : read.size } };
}
