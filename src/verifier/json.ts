/** What is open around the place that is being read. */
type Open =
  | { readonly kind: 'array'; readonly items: string[] }
  | { readonly kind: 'object'; readonly members: Map<string, string>; name: string };

/**
 * One text per JSON value: members sorted, the last of equal names kept (as jsonb does), numbers by their worth with all
 * of their digits, strings without escapes. Undefined if the text is not JSON. As deep as memory allows.
 * `spellNumber` gives equal numbers one text.
 */
export function canonicalJson(text: string, spellNumber: (text: string) => string | undefined): string | undefined {
  const reader = new Reader(text, spellNumber);
  const open: Open[] = [];
  for (;;) {
    let value = reader.begin(open);
    if (value === undefined) return undefined;
    while (value !== began) {
      const around = open.at(-1);
      if (!around) return reader.atEnd() ? value : undefined;
      const after = reader.next(around, value);
      if (after === undefined) return undefined;
      if (after === 'more') break;
      open.pop();
      value = after.whole;
    }
  }
}

/** An array or object was entered that is not empty: its first value comes next. */
const began = Symbol('began');
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const space = /[ \t\n\r]*/y;
const literals: Readonly<Record<string, string>> = { t: 'true', f: 'false', n: 'null' };

class Reader {
  readonly #text: string;
  readonly #spellNumber: (text: string) => string | undefined;
  #at = 0;

  constructor(text: string, spellNumber: (text: string) => string | undefined) {
    this.#text = text;
    this.#spellNumber = spellNumber;
  }

  atEnd(): boolean {
    this.#skip();
    return this.#at === this.#text.length;
  }

  /** Reads a value that has no parts, or enters one that has; undefined if there is none. */
  begin(open: Open[]): string | typeof began | undefined {
    this.#skip();
    switch (this.#text[this.#at]) {
      case '[': return this.#enter(open, ']', { kind: 'array', items: [] });
      case '{': return this.#enter(open, '}', { kind: 'object', members: new Map(), name: '' });
      case '"': return spelledString(this.#string());
      case 't': case 'f': case 'n': return this.#literal(literals[this.#text[this.#at]]);
      default: return this.#number();
    }
  }

  /** Takes a value into what is open around it, and says what follows: one `more`, or the `whole` of what is now closed. */
  next(around: Open, value: string): 'more' | { readonly whole: string } | undefined {
    if (around.kind === 'array') around.items.push(value);
    else around.members.set(around.name, value);
    this.#skip();
    if (this.#take(around.kind === 'array' ? ']' : '}')) return { whole: spelledWhole(around) };
    if (!this.#take(',')) return undefined;
    return around.kind === 'array' || this.#name(around) ? 'more' : undefined;
  }

  #enter(open: Open[], end: string, entered: Open): string | typeof began | undefined {
    this.#at++;
    this.#skip();
    if (this.#take(end)) return spelledWhole(entered);
    if (entered.kind === 'object' && !this.#name(entered)) return undefined;
    open.push(entered);
    return began;
  }

  #name(object: Extract<Open, { kind: 'object' }>): boolean {
    this.#skip();
    const name = this.#text[this.#at] === '"' ? this.#string() : undefined;
    if (name === undefined) return false;
    object.name = name;
    this.#skip();
    return this.#take(':');
  }

  #literal(word: string): string | undefined {
    if (!this.#text.startsWith(word, this.#at)) return undefined;
    this.#at += word.length;
    return word;
  }

  #number(): string | undefined {
    number.lastIndex = this.#at;
    const found = number.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return this.#spellNumber(found) ?? found;
  }

  #string(): string | undefined {
    const start = this.#at++;
    for (let escaped = false; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === 34) return escaped ? unescaped(this.#text.slice(start, ++this.#at)) : this.#text.slice(start + 1, this.#at++);
      if (code < 32) return undefined;
      if (code !== 92) continue;
      escaped = true;
      this.#at++;
    }
    return undefined;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #skip(): void {
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
  }
}

function spelledString(value: string | undefined): string | undefined {
  return value === undefined ? undefined : `"${value.length}:${value}`;
}

function spelledWhole(whole: Open): string {
  if (whole.kind === 'array') return `[${whole.items.join(',')}]`;
  const names = [...whole.members.keys()].sort();
  return `{${names.map((name) => `${spelledString(name)}=${whole.members.get(name)}`).join(',')}}`;
}

function unescaped(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}
