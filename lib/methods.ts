import { type Methods, noMethod, type Validator } from './contract.ts';
import { share } from './delivery.ts';
import { invalidType, invalidValue, MillraceError } from './errors.ts';
import { discard } from './part-run.ts';
import { isAsyncIterable } from './reply-texts.ts';
import type { Request } from './request.ts';

/**
 * Answers a request. What it returns, or the promise of it, is the reply; what it throws, or rejects with, is the reply as an error:
 * its name, message and code. The request is its context, with the signal that says when to give up. It may also settle that itself.
 */
export type RequestHandler<T, R> = (value: T, request: Request<T>) => R | PromiseLike<R>;

type AnyHandler = RequestHandler<never, unknown>;

/**
 * One handler for all methods, of handlers by method: only what is an object's own counts. It throws `ERR_MILLRACE_NO_METHOD` where
 * there is none.
 *
 * @param contract by which requests and results are validated, and which handlers by method must be those of
 * @throws ERR_INVALID_ARG_TYPE where handlers are something else; ERR_INVALID_ARG_VALUE where they are not those of the contract
 */
export function handlerOf(handlers: unknown, contract?: Methods): AnyHandler {
  const handler = typeof handlers === 'function' ? (handlers as AnyHandler) : byMethod(handlers, contract);
  return contract ? validated(handler, contract) : handler;
}

function byMethod(handlers: unknown, contract: Methods | undefined): AnyHandler {
  if (typeof handlers !== 'object' || handlers === null) {
    throw invalidType('handlers', 'a function or an object of functions', handlers);
  }
  const methods = new Map<string, AnyHandler>();
  for (const [method, handler] of Object.entries(handlers)) {
    if (typeof handler !== 'function') throw invalidType(`handlers.${method}`, 'of type function', handler);
    methods.set(method, handler);
  }
  if (contract) checkAll(methods, contract);
  return (value, request) => {
    const handler = methods.get(request.method);
    if (!handler) throw noMethod(request.method, [...methods.keys()]);
    return handler.call(handlers, value, request);
  };
}

/** Checks that handlers are those of a contract. */
function checkAll(handlers: ReadonlyMap<string, AnyHandler>, { names }: Methods): void {
  for (const name of names) {
    if (!handlers.has(name)) throw invalidValue(`handlers.${name}`, 'a function, as it is in the contract', undefined);
  }
  for (const [name, handler] of handlers) {
    if (names.includes(name)) continue;
    throw invalidValue(`handlers.${name}`, `one of the methods of the contract, ${names.join(', ')}`, handler);
  }
}

/** A handler that runs on what a contract makes of what is asked with, and gives what it makes of the result. */
function validated(handler: AnyHandler, contract: Methods): AnyHandler {
  return async (value, request) => {
    const { input, output, parts } = contract.get(request.method);
    const valid = (await input.validate(value, 'The parameters')) as never;
    // It may be settled, lost or cancelled meanwhile: what comes of it is nobody's.
    if (request.isCancelled || !request[share].isOpen) return undefined;
    const result = await handler(valid, valid === value ? request : request.asking(valid));
    return parts ? validParts(result, parts, request.method) : await output?.validate(result, "The handler's result");
  };
}

/** The parts that a handler gives, each as its schema makes it. */
function validParts(result: unknown, parts: Validator, method: string): AsyncIterable<unknown> {
  if (isAsyncIterable(result)) return new ValidParts(result, parts);
  const message = `The handler's result for "${method}" is to be an async iterable of its parts, and is of type ${typeof result}`;
  throw new MillraceError('INVALID_ITEM', message, { item: result });
}

/** No generator: who ends one that waits for a part is heard only when that has come. */
class ValidParts implements AsyncIterable<unknown> {
  readonly #given: AsyncIterable<unknown>;
  readonly #validator: Validator;
  #iterator: AsyncIterator<unknown> | undefined;

  constructor(given: AsyncIterable<unknown>, validator: Validator) {
    this.#given = given;
    this.#validator = validator;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const iterator = this.#given[Symbol.asyncIterator]();
    this.#iterator = iterator;
    return { next: () => this.#next(iterator) };
  }

  /** Ends what gives the parts, begun or not. */
  destroy(): void {
    discard(this.#given, this.#iterator);
  }

  async #next(iterator: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
    const { done, value } = await iterator.next();
    if (done) return { done, value: undefined };
    return { done: false, value: await this.#validator.validate(value, "A part of the handler's result") };
  }
}
