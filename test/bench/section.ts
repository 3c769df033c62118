/** A table as it is printed, and how many rounds it is made of. */
export interface Section {
  readonly text: string;
  readonly rounds: number;
}
