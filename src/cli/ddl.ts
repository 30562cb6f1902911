import type { PlannedObject } from '../contract.js';
import type { PlanReport } from '../coordinator/config.js';

/** A file to edit and run by the database's own program: every statement in the order of a sync, and what has no counterpart as a comment in its place. */
export function ddlText(plan: PlanReport): string {
  const objects = plan.namespaces.flatMap((one) => one.objects.map((object) => ({ of: one.namespace, object }))), spell = speller(plan.destination);
  const made = (stages: readonly PlannedObject['stage'][], functions = false) => distinct(objects.filter(({ object }) => stages.includes(object.stage) && object.sql !== undefined && (object.kind === 'function') === functions).map(({ object }) => spell(object)));
  const views = plan.views.map((view) => (view.sql === undefined ? leftOut('', view) : spell(view)));
  return [
    `-- ${plan.source} → ${plan.destination}\n-- dsync makes these itself (--schema create). What begins with -- has no counterpart: write your own in its place.\n`,
    // Functions may call others, or read tables, that come later.
    ...(plan.destination.startsWith('PostgreSQL') ? ['SET check_function_bodies = off;\n'] : []),
    part('Tables', distinct(plan.namespaces.flatMap((one) => (one.existed ? [`-- ${one.target} stands already`] : one.statements.map((sql) => `${sql};`))))),
    part('Functions', made(['index'], true)), part('Indexes', made(['index', 'unique'])), part('Checks', made(['check'])), part('Foreign keys', made(['foreign-key'])),
    part('Defaults, comments, next numbers', made(['end'])), part('What fires or forbids', made(['last'])), part('Views', views),
    part('Without a counterpart', objects.filter(({ object }) => object.stage === 'none').map(({ of, object }) => leftOut(of, object))),
  ].filter(Boolean).join('\n');
}

/** Tables may need the same types and functions. */
function distinct(statements: readonly string[]): readonly string[] {
  return [...new Set(statements)];
}

function part(title: string, statements: readonly string[]): string {
  return statements.length > 0 ? `-- ${title}\n\n${statements.join('\n')}\n` : '';
}

/** As the program of this server reads it: that of MySQL ends a statement at the first semicolon, unless it is told of another sign. */
function speller(destination: string): (object: PlannedObject) => string {
  const isMysql = /^(MySQL|MariaDB)/.test(destination);
  return ({ sql, note, kind, settings = {} }) => {
    const whole = isMysql && kind === 'trigger' ? `DELIMITER ;;\n${sql};;\nDELIMITER ;` : `${sql};`;
    const names = Object.keys(settings), text = (value: string) => `'${value.replaceAll("'", "''")}'`;
    const set = names.map((name) => `SET @dsync_${name} = @@${name}, ${name} = ${text(settings[name])};\n`).join(''), reset = names.map((name) => `\nSET ${name} = @dsync_${name};`).join('');
    return `${note ? `-- ${note}\n` : ''}${set}${whole}${reset}`;
  };
}

function leftOut(of: string, { kind, name, note, native }: PlannedObject): string {
  return `${kind} ${name}${of && ` of ${of}`}: ${note}\n${native}`.replace(/^/gm, '-- ');
}
