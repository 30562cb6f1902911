/** SQL as an engine spells it. MariaDB is `mysql` here. */
export type Dialect = 'postgres' | 'mysql' | 'sqlite';

export function dialectOf(engine: string): Dialect | undefined {
  return engine === 'mariadb' ? 'mysql' : engine === 'postgres' || engine === 'mysql' || engine === 'sqlite' ? engine : undefined;
}

/**
 * The few expressions that mean the same in every dialect: literals, columns, comparisons, AND, OR, NOT, IN, BETWEEN, IS NULL,
 * sums and products, and some functions. Everything else is no `Expression`, and is listed instead of being made.
 */
export type Expression =
  | { readonly kind: 'null' } | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'number' | 'text' | 'bits'; readonly value: string }
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'call'; readonly name: Function; readonly args: readonly Expression[] }
  | { readonly kind: 'operation'; readonly operator: Operator; readonly args: readonly Expression[] };

type Function = 'now' | 'today' | 'uuid' | 'lower' | 'upper' | 'abs' | 'coalesce' | 'length';
type Operator = '=' | '<>' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | 'and' | 'or' | 'not' | 'is null' | 'is not null' | 'in' | 'not in' | 'between' | 'not between';

/** The expression that a text means, or undefined where it means anything that is not the same everywhere. */
export function parseExpression(text: string, dialect: Dialect): Expression | undefined {
  try {
    return new Parser(tokensOf(text, dialect), dialect).whole();
  } catch (error) {
    if (error instanceof Untranslatable) return undefined;
    throw error;
  }
}

class Untranslatable extends Error {}

interface Token { readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign'; readonly value: string }

const tokenPatterns: Record<Dialect, RegExp> = {
  postgres: /\s+|(?<text>E?'(?:[^'\\]|''|\\.)*')|(?<name>"(?:[^"]|"")+")|(?<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<sign>::|<>|!=|<=|>=|[-+*/=<>(),.[\]])/uy,
  mysql: /\s+|(?<text>'(?:[^'\\]|''|\\.)*')|(?<name>`(?:[^`]|``)+`)|(?<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<sign><>|!=|<=|>=|[-+*/=<>(),.])/uy,
  sqlite: /\s+|(?<text>'(?:[^']|'')*')|(?<name>"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\])|(?<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<sign><>|!=|<=|>=|==|[-+*/=<>(),.])/uy,
};

function tokensOf(text: string, dialect: Dialect): Token[] {
  const pattern = new RegExp(tokenPatterns[dialect]), tokens: Token[] = [];
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) throw new Untranslatable();
    const [kind, value] = Object.entries(match.groups!).find(([, found]) => found !== undefined) ?? [];
    if (kind !== undefined) tokens.push({ kind: kind as Token['kind'], value: plain(kind as Token['kind'], value!, dialect) });
  }
  return tokens;
}

const escapes: Readonly<Record<string, string>> = { 0: '\0', n: '\n', r: '\r', t: '\t', b: '\b', Z: '\x1a' };

function plain(kind: Token['kind'], value: string, dialect: Dialect): string {
  if (kind === 'name') return value.slice(1, -1).replaceAll(value[0] === '[' ? ']]' : value[0] + value[0], value[0]);
  if (kind !== 'text') return value;
  const escaped = value.startsWith('E') || dialect === 'mysql', inner = value.slice(value.startsWith('E') ? 2 : 1, -1);
  return escaped ? inner.replace(/''|\\(.)/gs, (pair, char: string | undefined) => (char === undefined ? "'" : escapes[char] ?? char)) : inner.replaceAll("''", "'");
}

const dateLike = /^\d{4}-\d\d-\d\d|^\d\d:\d\d/;
const numericTypes = /^(smallint|integer|bigint|numeric|real|double precision|decimal)$/;

/** By precedence: OR, AND, NOT, comparisons, sums, products, signs, casts. */
class Parser {
  readonly #tokens: readonly Token[];
  readonly #dialect: Dialect;
  #at = 0;

  constructor(tokens: readonly Token[], dialect: Dialect) {
    [this.#tokens, this.#dialect] = [tokens, dialect];
  }

  whole(): Expression {
    const expression = this.#or();
    if (this.#at < this.#tokens.length) throw new Untranslatable();
    return expression;
  }

  #is(value: string, ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token !== undefined && (token.kind === 'word' || token.kind === 'sign') && token.value.toLowerCase() === value;
  }

  #take(value: string): boolean {
    if (!this.#is(value)) return false;
    this.#at++;
    return true;
  }

  #need(value: string): void {
    if (!this.#take(value)) throw new Untranslatable();
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take('or')) left = operation('or', left, this.#and());
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#take('and')) left = operation('and', left, this.#not());
    return left;
  }

  #not(): Expression {
    return this.#take('not') ? operation('not', this.#not()) : this.#comparison();
  }

  #comparison(): Expression {
    const left = this.#sum();
    if (this.#take('is')) {
      const negated = this.#take('not');
      this.#need('null');
      return operation(negated ? 'is not null' : 'is null', left);
    }
    const negated = this.#is('not') && (this.#is('in', 1) || this.#is('between', 1)) && this.#take('not');
    if (this.#take('in')) return operation(negated ? 'not in' : 'in', left, ...this.#list());
    if (this.#take('between')) {
      const low = this.#sum();
      this.#need('and');
      return ordered(operation(negated ? 'not between' : 'between', left, low, this.#sum()));
    }
    const sign = ['=', '==', '<>', '!=', '<=', '>=', '<', '>'].find((one) => this.#take(one));
    if (sign === undefined) return left;
    const operator = (sign === '!=' ? '<>' : sign === '==' ? '=' : sign) as Operator;
    if (this.#is('any') || this.#is('all')) return this.#oneOf(left, operator);
    const compared = operation(operator, left, this.#sum());
    return operator === '=' || operator === '<>' ? compared : ordered(compared);
  }

  /** PostgreSQL's way to keep IN: `= ANY (ARRAY['a'::text, …])`. */
  #oneOf(left: Expression, operator: Operator): Expression {
    const all = this.#is('all');
    this.#at++;
    if (operator !== (all ? '<>' : '=')) throw new Untranslatable();
    this.#need('(');
    const nested = this.#take('(');
    this.#need('array');
    this.#need('[');
    const values = [this.#or()];
    while (this.#take(',')) values.push(this.#or());
    this.#need(']');
    if (nested) this.#need(')');
    if (this.#take('::')) this.#type();
    this.#need(')');
    return operation(all ? 'not in' : 'in', left, ...values);
  }

  #list(): Expression[] {
    this.#need('(');
    const values = [this.#or()];
    while (this.#take(',')) values.push(this.#or());
    this.#need(')');
    return values;
  }

  #sum(): Expression {
    let left = this.#product();
    for (;;) {
      if (this.#take('+')) left = operation('+', left, this.#product());
      else if (this.#take('-')) left = operation('-', left, this.#product());
      else return left;
    }
  }

  #product(): Expression {
    let left = this.#signed();
    while (this.#take('*')) left = operation('*', left, this.#signed());
    return left;
  }

  #signed(): Expression {
    if (this.#take('+')) return this.#signed();
    if (!this.#take('-')) return this.#cast();
    const value = this.#signed();
    if (value.kind !== 'number') throw new Untranslatable();
    return { kind: 'number', value: value.value.startsWith('-') ? value.value.slice(1) : `-${value.value}` };
  }

  #cast(): Expression {
    let value = this.#primary();
    while (this.#take('::')) value = casted(value, this.#type());
    return value;
  }

  /** A type's name, without what is in brackets. */
  #type(): string {
    let type = this.#word();
    while (this.#take('.')) type = this.#word();
    const more: Readonly<Record<string, readonly string[]>> = { character: ['varying'], bit: ['varying'], double: ['precision'] };
    for (const word of more[type] ?? []) if (this.#take(word)) type += ` ${word}`;
    if (this.#take('(')) while (!this.#take(')')) this.#at++;
    if (/^time(stamp)?$/.test(type) && (this.#take('with') || this.#take('without'))) {
      this.#need('time');
      this.#need('zone');
    }
    while (this.#take('[')) this.#need(']');
    return type;
  }

  #word(): string {
    const token = this.#tokens[this.#at++];
    if (token?.kind !== 'word' && token?.kind !== 'name') throw new Untranslatable();
    return token.value;
  }

  #primary(): Expression {
    if (this.#take('(')) {
      const inner = this.#or();
      this.#need(')');
      return inner;
    }
    const token = this.#tokens[this.#at++];
    switch (token?.kind) {
      case 'number': case 'text': return { kind: token.kind, value: token.value };
      case 'name': return this.#named(token.value);
      case 'word': return this.#spoken(token.value);
      default: throw new Untranslatable();
    }
  }

  /** The functions of uuid-ossp are told with the schema that they are in. */
  #named(name: string): Expression {
    if (this.#dialect === 'postgres' && this.#take('.')) {
      const called = this.#word();
      if (called.startsWith('uuid_generate_') && this.#is('(')) return this.#call(called);
      throw new Untranslatable();
    }
    if (this.#is('.') || this.#is('(')) throw new Untranslatable();
    return { kind: 'column', name };
  }

  #spoken(word: string): Expression {
    const text = this.#tokens[this.#at];
    const lower = word.toLowerCase();
    if (text?.kind === 'text' && (lower === 'b' || (this.#dialect === 'mysql' && lower.startsWith('_')))) {
      this.#at++;
      return { kind: lower === 'b' ? 'bits' : 'text', value: text.value };
    }
    switch (lower) {
      case 'null': return { kind: 'null' };
      case 'true': case 'false': return { kind: 'boolean', value: lower === 'true' };
      case 'current_timestamp': case 'localtimestamp': if (this.#take('(') && !this.#take(')')) { this.#at++; this.#need(')'); } return call('now');
      case 'current_date': if (this.#take('(')) this.#need(')'); return call('today');
      default: return this.#is('(') ? this.#call(lower) : this.#named(word);
    }
  }

  #call(name: string): Expression {
    const args = this.#is(')', 1) ? (this.#at += 2, []) : this.#list();
    const known = calls[name];
    if (!known || (known.args >= 0 && known.args !== args.length && !(known.name === 'now' && args.every(({ kind }) => kind === 'number')))) {
      const sqlite = this.#dialect === 'sqlite' && args.length === 1 && args[0].kind === 'text' && args[0].value === 'now' ? ({ datetime: 'now', date: 'today' } as const)[name] : undefined;
      if (!sqlite) throw new Untranslatable();
      return call(sqlite);
    }
    return call(known.name, ...args);
  }
}

/** A function's own name in each dialect; `args` below zero: any number of them. */
const calls: Readonly<Record<string, { readonly name: Function; readonly args: number } | undefined>> = {
  now: { name: 'now', args: 0 }, curdate: { name: 'today', args: 0 }, uuid: { name: 'uuid', args: 0 }, ...Object.fromEntries(['gen_random_uuid', 'uuidv4', 'uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4'].map((made) => [made, { name: 'uuid', args: 0 } as const])),
  lower: { name: 'lower', args: 1 }, upper: { name: 'upper', args: 1 }, abs: { name: 'abs', args: 1 }, coalesce: { name: 'coalesce', args: -1 },
  char_length: { name: 'length', args: 1 }, character_length: { name: 'length', args: 1 },
};

function operation(operator: Operator, ...args: Expression[]): Expression {
  return { kind: 'operation', operator, args };
}

function call(name: Function, ...args: Expression[]): Expression {
  return { kind: 'call', name, args };
}

/** Engines disagree on which text comes first: only what looks like a date is put in order by all of them alike. */
function ordered(expression: Expression): Expression {
  if (expression.kind === 'operation' && expression.args.some((arg) => arg.kind === 'text' && !dateLike.test(arg.value))) throw new Untranslatable();
  return expression;
}

/** A cast of a literal only says what it is; one of anything else may change the value. */
function casted(value: Expression, type: string): Expression {
  if (type === 'regclass') throw new Untranslatable();
  if (value.kind === 'text' && numericTypes.test(type)) return /^-?\d+(\.\d+)?$/.test(value.value) ? { kind: 'number', value: value.value } : value;
  if (value.kind === 'text' && type === 'boolean') return { kind: 'boolean', value: /^t/i.test(value.value) };
  if (['text', 'number', 'null', 'boolean', 'bits'].includes(value.kind)) return value;
  if (/^(text|character varying|bpchar|character|numeric|bigint|double precision)$/.test(type)) return value;
  throw new Untranslatable();
}

/** How a dialect writes names. */
export function nameIn(dialect: Dialect, name: string): string {
  return dialect === 'mysql' ? `\`${name.replaceAll('`', '``')}\`` : `"${name.replaceAll('"', '""')}"`;
}

export function textIn(dialect: Dialect, text: string): string {
  return `'${(dialect === 'mysql' ? text.replaceAll('\\', '\\\\') : text).replaceAll("'", "''")}'`;
}

/**
 * The expression in a dialect, or undefined where one of its columns is not there or a call has no counterpart. `columnOf` gives
 * a column's name there, and `as` what is made of it.
 */
export function renderExpression(expression: Expression, dialect: Dialect, columnOf: (name: string) => string | undefined, as: (column: string) => string = (column) => column): string | undefined {
  const inner = (one: Expression) => renderExpression(one, dialect, columnOf, as);
  switch (expression.kind) {
    case 'null': return 'NULL';
    case 'boolean': return dialect === 'postgres' ? String(expression.value) : expression.value ? '1' : '0';
    case 'number': return expression.value;
    case 'text': return textIn(dialect, expression.value);
    case 'bits': return dialect === 'sqlite' ? textIn(dialect, expression.value) : `b'${expression.value}'`;
    case 'column': {
      const name = columnOf(expression.name);
      return name === undefined ? undefined : as(nameIn(dialect, name));
    }
    case 'call': return ['now', 'today', 'uuid'].includes(expression.name) ? undefined : rendered(expression.args.map(inner), (args) => `${functionIn(expression.name, dialect)}(${args.join(', ')})`);
    case 'operation': return rendered(expression.args.map(inner), (args) => renderOperation(expression.operator, args));
    default: return expression satisfies never;
  }
}

function functionIn(name: Function, dialect: Dialect): string {
  return name === 'length' ? (dialect === 'mysql' ? 'char_length' : 'length') : name;
}

function rendered(parts: readonly (string | undefined)[], join: (parts: readonly string[]) => string): string | undefined {
  return parts.some((part) => part === undefined) ? undefined : join(parts as readonly string[]);
}

function renderOperation(operator: Operator, args: readonly string[]): string {
  switch (operator) {
    case 'not': return `(NOT ${args[0]})`;
    case 'is null': case 'is not null': return `(${args[0]} ${operator.toUpperCase()})`;
    case 'in': case 'not in': return `(${args[0]} ${operator.toUpperCase()} (${args.slice(1).join(', ')}))`;
    case 'between': case 'not between': return `(${args[0]} ${operator.toUpperCase()} ${args[1]} AND ${args[2]})`;
    default: return `(${args[0]} ${operator.toUpperCase()} ${args[1]})`;
  }
}
