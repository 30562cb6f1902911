import type { Column, Shape } from '../contract.js';

/** A collection as rows: each document beside its `_id`. */
export const documentColumns: readonly Column[] = [
  { name: '_id', type: { kind: 'document-id' }, native: '_id', nullable: false },
  { name: 'document', type: { kind: 'document' }, native: 'document', nullable: false },
];

/** The shape of the collection whose documents, or whose rows, these are. */
export function asCollection(shape: Shape): Shape {
  const { origin: _, ...plain } = shape;
  return isCollection(shape) ? shape : { ...plain, columns: documentColumns, key: [0] };
}

/** Does a row of this shape hold a whole document? */
export function isCollection({ columns }: Shape): boolean {
  return columns.some(({ type }) => type.kind === 'document');
}
