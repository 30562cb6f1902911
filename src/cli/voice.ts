import { scrubber } from '../url.js';
import type { Output } from './surroundings.js';

/** All that is printed or logged passes here, and loses the passwords of the run's URLs on the way. */
export class Voice {
  readonly #stdout: Output;
  readonly #stderr: Output;
  #urls: readonly string[] = [];
  #scrub = scrubber([]);
  #around: ((text: string) => void) | undefined;

  constructor(stdout: Output, stderr: Output) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** From now on the secrets of these URLs are blotted out. */
  hide(...urls: readonly string[]): void {
    this.#urls = [...this.#urls, ...urls];
    this.#scrub = scrubber(this.#urls);
  }

  scrub(text: string): string {
    return this.#scrub(text);
  }

  /** What the command was asked for. */
  say(text: string): void {
    this.#stdout.write(this.#scrub(text));
  }

  /** Everything else. Whole lines. */
  tell(text: string): void {
    (this.#around ?? ((clean: string) => this.#stderr.write(clean)))(this.#scrub(text));
  }

  /** While progress bars own the terminal's last lines, text must be written around them. */
  through(around: ((text: string) => void) | undefined): void {
    this.#around = around;
  }
}
