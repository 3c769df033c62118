import { inspect } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ItemCodec, schema as schemaCheck } from './codec.ts';
import { invalidType, invalidValue, MillraceError } from './errors.ts';
import type { Check } from './options.ts';
import type { Request } from './request.ts';

/**
 * The methods that a queue's requests may ask for, by name: each a function of one value. An interface will do, and so will a type.
 *
 * ```ts
 * interface Maths {
 *   square(n: number): number;
 *   primes(below: number): AsyncIterable<number>;
 * }
 * ```
 */
// biome-ignore lint/suspicious/noExplicitAny: a method takes what it takes
export type Contract<C> = { [M in keyof C]: (value: any) => unknown };

/** The contract of who names none: any method, any value, any reply. */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export type Untyped = Record<string, (value: any) => any>;

/** What a method takes. */
export type In<F> = F extends (value: infer V) => unknown ? V : never;

/** What a method's promise gives. */
// biome-ignore lint/suspicious/noExplicitAny: a method takes what it takes
export type Out<F> = F extends (value: any) => infer R ? Awaited<R> : never;

/** The names of the methods that answer in many parts. */
export type Many<C> = { [M in keyof C]: Out<C[M]> extends AsyncIterable<unknown> ? M : never }[keyof C] & string;

/** The names of the methods that answer once. */
export type One<C> = { [M in keyof C]: Out<C[M]> extends AsyncIterable<unknown> ? never : M }[keyof C] & string;

/** One part of what a method answers in many; anything where nothing is known of it. */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export type Part<F> = 0 extends 1 & Out<F> ? any : Out<F> extends AsyncIterable<infer P> ? P : never;

/** A method as a contract's schemas have it, which may make something else of what they check: so its handler may have other types. */
export interface Method<In, Out, HandlerIn, HandlerOut> {
  (value: In): Out;
  /** The types of its handler. There is nothing at run time. */
  readonly '~handler': (value: HandlerIn) => HandlerOut;
}

/** A method as its handler sees it. */
type Handled<F> = F extends { readonly '~handler': infer H } ? H : F;

/** Those who do what a contract says: a function for each of its methods. */
export type Handlers<C> = {
  [M in keyof C]: (
    value: In<Handled<C[M]>>,
    request: Request<In<Handled<C[M]>>>,
  ) => Out<Handled<C[M]>> extends AsyncIterable<infer P>
    ? AsyncIterable<P> | PromiseLike<AsyncIterable<P>>
    : Out<Handled<C[M]>> | PromiseLike<Out<Handled<C[M]>>>;
};

/** What {@link contract} takes: by the name of a method, the schemas of what it takes and of what it answers, at once or in parts. */
export type Shape = Record<
  string,
  | { readonly input: StandardSchemaV1; readonly output: StandardSchemaV1; readonly parts?: never }
  | { readonly input: StandardSchemaV1; readonly parts: StandardSchemaV1; readonly output?: never }
>;

type Given<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : never;
type Made<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : never;

/** The methods that schemas describe. */
export type Spec<S extends Shape> = {
  [M in keyof S]: S[M] extends { readonly parts: StandardSchemaV1 }
    ? Method<
        Given<S[M]['input']>,
        AsyncIterable<Made<S[M]['parts']>>,
        Made<S[M]['input']>,
        AsyncIterable<Given<S[M]['parts']>>
      >
    : Method<Given<S[M]['input']>, Made<S[M]['output']>, Made<S[M]['input']>, Given<S[M]['output']>>;
};

/** For both ends alone: what a contract checks by. */
const methods: unique symbol = Symbol.for('millrace.contract');

/** What {@link contract} gives: the types and the validators of methods. */
export interface ContractOf<C> {
  /** The types, as in `(typeof maths)['~contract']`. There is nothing at run time. */
  readonly '~contract': C;
  /** @internal */
  readonly [methods]: Methods;
}

/** The option of both ends that has what they say validated. */
export interface ContractOption<C> {
  /** What {@link contract} gave. Default: none, nothing is validated. */
  contract?: ContractOf<C>;
}

/** What a method takes and answers: at once, or in parts. */
export interface Validators {
  readonly input: Validator;
  readonly output?: Validator;
  readonly parts?: Validator;
}

/** What one that answers at once takes and answers. */
export type OneValidators = Required<Pick<Validators, 'input' | 'output'>>;

/** What one that answers in parts takes and answers. */
export type ManyValidators = Required<Pick<Validators, 'input' | 'parts'>>;

/** The validators of a contract's methods. */
export class Methods {
  readonly #validators: ReadonlyMap<string, Validators>;

  constructor(shape: Shape) {
    const entries = Object.entries(shape).map(([name, { input, output, parts }]) => {
      const answer = output ? { output: new Validator(name, output) } : { parts: new Validator(name, parts) };
      return [name, { input: new Validator(name, input), ...answer }] as const;
    });
    this.#validators = new Map(entries);
  }

  get names(): string[] {
    return [...this.#validators.keys()];
  }

  /** Throws `ERR_MILLRACE_NO_METHOD`. */
  get(name: string): Validators {
    const validators = this.#validators.get(name);
    if (!validators) throw noMethod(name, this.names);
    return validators;
  }

  /** Throws as {@link get}, and `ERR_MILLRACE_NOT_SUPPORTED` for a method that answers in parts. */
  one(name: string): OneValidators {
    const validators = this.get(name);
    if (validators.output) return validators as OneValidators;
    throw new MillraceError('NOT_SUPPORTED', `The method "${name}" answers in several parts: ask with requestStream()`);
  }

  /** Throws as {@link get}, and `ERR_MILLRACE_NOT_SUPPORTED` for a method that answers at once. */
  many(name: string): ManyValidators {
    const validators = this.get(name);
    if (validators.parts) return validators as ManyValidators;
    throw new MillraceError('NOT_SUPPORTED', `The method "${name}" answers at once: ask with request()`);
  }
}

/** Checks one of the values of a method. */
export class Validator {
  readonly #method: string;
  readonly #codec: ItemCodec;

  constructor(method: string, schema: StandardSchemaV1) {
    this.#method = method;
    this.#codec = new ItemCodec({ codec: 'json', schema, maxBytes: Number.POSITIVE_INFINITY });
  }

  /** What the schema makes of a value. Rejects with `ERR_MILLRACE_INVALID_ITEM`, which says what the value is. */
  async validate(value: unknown, what: string): Promise<unknown> {
    try {
      return await this.#codec.validate(value, value);
    } catch (error) {
      const { message, cause } = error as Error;
      throw new MillraceError('INVALID_ITEM', `${what} for "${this.#method}": ${message}`, { item: value, cause });
    }
  }
}

/**
 * The types and the validators of methods in one value, for the option `contract` of both ends. Schemas are of any library that knows
 * Standard Schema, version 1 (https://standardschema.dev), and may be asynchronous.
 *
 * ```ts
 * const maths = contract({
 *   square: { input: z.number(), output: z.number() },
 *   primes: { input: z.number(), parts: z.number() },
 * });
 * serve('maths', { square: (n) => n * n, primes }, { contract: maths });
 * await new Client('maths', { contract: maths }).request('square', 3);
 * ```
 *
 * - What is asked with is validated by `input` at either end. It is sent as it was given; the handler gets what the schema makes of it.
 * - What is answered is validated by `output` at either end. What the schema makes of it is sent, and that is what the schema of the other
 *   end gets, as JSON has carried it: so the schema must take what it makes.
 *
 * @param shape by the name of each method: `input`, and either `output` or, where it answers in several parts, `parts`
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the shape is something else
 */
export function contract<const S extends Shape>(shape: S): ContractOf<Spec<S>> {
  checkShape(shape);
  return Object.freeze({ [methods]: new Methods(shape) }) as unknown as ContractOf<Spec<S>>;
}

/** Checks the `contract` option. */
export const contractCheck: Check = (value, name) => {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, methods)) {
    throw invalidType(name, 'what contract() gave', value);
  }
};

/** What a contract checks by. */
export function methodsOf(contract: ContractOf<unknown>): Methods {
  return contract[methods];
}

/** The error for a method that is none of those that are known. */
export function noMethod(method: string, known: readonly string[]): MillraceError {
  const there = known.length > 0 ? `there are ${known.join(', ')}` : 'there is none';
  return new MillraceError('NO_METHOD', `No method ${inspect(method, { maxStringLength: 100 })}: ${there}`);
}

const ENTRY = 'an object of the schemas input and either output or parts';

function checkShape(shape: unknown): asserts shape is Shape {
  if (typeof shape !== 'object' || shape === null) throw invalidType('shape', 'an object of methods', shape);
  for (const [method, entry] of Object.entries(shape)) checkEntry(entry, `shape.${method}`);
}

function checkEntry(entry: unknown, name: string): void {
  if (typeof entry !== 'object' || entry === null) throw invalidType(name, ENTRY, entry);
  const { input, output, parts, ...others } = entry as Record<string, unknown>;
  if (Object.keys(others).length > 0 || (output === undefined) === (parts === undefined)) {
    throw invalidValue(name, ENTRY, entry);
  }
  schemaCheck(input, `${name}.input`);
  if (output === undefined) schemaCheck(parts, `${name}.parts`);
  else schemaCheck(output, `${name}.output`);
}
