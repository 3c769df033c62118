/** Does one job: gives its response, or fails. */
export type Processor = (params: unknown) => Promise<unknown>;

/** Where the jobs of one driver are done: what que needs of it. */
export interface Backend {
  /** Connects to one more server; resolves when it answers. */
  connect(url: string): Promise<void>;
  /** Lets go of all servers, when what is done there is done. */
  disconnect(): Promise<void>;
  register(job: string, processor: Processor): void;
  /** The response to a job. */
  submit(job: string, params: unknown): Promise<unknown>;
}
