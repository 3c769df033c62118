import { writeFile } from 'node:fs/promises';
import type { Section } from './section.ts';

/** Prints tables as soon as they are there, and writes all so far to a file, where one is named. */
export class Report {
  readonly #printed: string[] = [];
  readonly #file: string | undefined;
  readonly #isQuick: boolean;

  constructor(file: string | undefined, isQuick: boolean) {
    this.#file = file;
    this.#isQuick = isQuick;
  }

  /** Prints a text under a title, in Markdown. */
  async print(title: string, text: string): Promise<void> {
    const part = `### ${title}\n\n${text}\n`;
    this.#printed.push(part);
    console.log(`\n${part.trimEnd()}`);
    if (this.#file !== undefined) await writeFile(this.#file, this.#printed.join('\n'));
  }

  /** Prints a section under a title that says how many rounds it is made of. Gives that title. */
  async printSection(title: string, { text, rounds }: Section): Promise<string> {
    const extent = `${rounds} ${rounds === 1 ? 'round' : 'rounds'}${this.#isQuick ? ', quick: only a hint' : ''}`;
    const whole = `${title}; ${extent}`;
    await this.print(whole, text);
    return whole;
  }
}
