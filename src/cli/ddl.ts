import type { PlannedObject } from '../contract.js';
import type { PlanReport } from '../coordinator/config.js';

/** A file to edit and run: every statement in the order of a sync, and what has no counterpart as a comment in its place. */
export function ddlText(plan: PlanReport): string {
  const objects = plan.namespaces.flatMap((one) => one.objects.map((object) => ({ of: one.namespace, object })));
  const made = (stages: readonly PlannedObject['stage'][]) => objects.filter(({ object }) => stages.includes(object.stage) && object.sql !== undefined).map(({ object }) => statement(object));
  const views = plan.views.map((view) => (view.sql === undefined ? leftOut('', view) : statement(view)));
  return [
    `-- ${plan.source} → ${plan.destination}\n-- dsync makes these itself (--schema create). What begins with -- has no counterpart: write your own in its place.\n`,
    part('Tables', plan.namespaces.flatMap((one) => (one.existed ? [`-- ${one.target} stands already`] : one.statements.map((sql) => `${sql};`)))),
    part('Indexes', made(['index', 'unique'])), part('Checks', made(['check'])), part('Foreign keys', made(['foreign-key'])),
    part('Defaults, comments, next numbers', made(['end'])), part('Views', views),
    part('Without a counterpart', objects.filter(({ object }) => object.stage === 'none').map(({ of, object }) => leftOut(of, object))),
  ].filter(Boolean).join('\n');
}

function part(title: string, statements: readonly string[]): string {
  return statements.length > 0 ? `-- ${title}\n\n${statements.join('\n')}\n` : '';
}

function statement({ sql, note }: PlannedObject): string {
  return `${note ? `-- ${note}\n` : ''}${sql};`;
}

function leftOut(of: string, { kind, name, note, native }: PlannedObject): string {
  return `${kind} ${name}${of && ` of ${of}`}: ${note}\n${native}`.replace(/^/gm, '-- ');
}
