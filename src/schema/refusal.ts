import type { Finding, Mapping, PlannedObject } from '../contract.js';

/** An object that the destination's server did not take, with the statement to mend and run. */
export function refusal(object: PlannedObject, reason: string, mapping: Mapping | undefined): Finding {
  const of = mapping && !object.name.includes('.') ? ` of ${mapping.target.namespace}` : '';
  return {
    level: 'warning', code: 'object-refused', message: `${object.kind} ${object.name}${of} was not made: ${reason}`, remedy: object.sql ?? object.native,
    ...(mapping && { namespace: mapping.source.namespace }),
  };
}
