import { packet, Type } from './packets.ts';

/** What a request to no method in particular asks for: the method of a `RequestDuplex` that was given none. */
export const DEFAULT_METHOD = 'default';

/** The longest name of a function that servers are sure to take, in bytes. */
const LONGEST = 512;

/** The functions of one queue: one of its own name, and one for each method. */
export class Functions {
  readonly #queue: string;
  /** The packets that register them. */
  readonly registrations: readonly Buffer[];

  /** @param queue its name, with the prefix */
  constructor(queue: string, methods: readonly string[] = []) {
    this.#queue = queue;
    const names = methods.flatMap((method) => functionOf(queue, method) ?? []);
    this.registrations = Array.from(new Set([queue, ...names]), (name) => packet(Type.CAN_DO, name));
  }

  methodOf(name: string): string {
    return name === this.#queue ? DEFAULT_METHOD : name.slice(this.#queue.length + 1);
  }
}

/** The function that requests of a method are jobs of; nothing where a method's name can't be part of one. */
export function functionOf(queue: string, method: string): string | undefined {
  if (method === DEFAULT_METHOD) return queue;
  const name = `${queue}/${method}`;
  return method.includes('\0') || Buffer.byteLength(name) > LONGEST ? undefined : name;
}
