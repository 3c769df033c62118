import type { StandardSchemaV1 } from '@standard-schema/spec';
import { invalidType, MillraceError, messageOf } from './errors.ts';
import type { Check } from './options.ts';
import { checkSize } from './size.ts';

/** An item as it is stored. Text stands for its UTF-8 bytes: what is text already is spared a copy. */
export type Body = string | Buffer;

/** Turns values into bytes and back. What it throws makes an item invalid. */
export interface Codec {
  /** The bytes to store for a value. */
  encode(value: unknown): Uint8Array;
  /** The value of stored bytes. `null` and `undefined` are refused: no object stream can carry them. */
  decode(bytes: Uint8Array): unknown;
}

/** How the streams see a codec: it may give text, and decodes in two steps, of which each is taken for many items in a row. */
interface BodyCodec {
  encode(value: unknown): string | Uint8Array;
  read(bytes: Buffer): unknown;
  parse(read: never): unknown;
}

function bufferOf(bytes: ArrayBufferView): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Throws where bytes are not UTF-8, and takes nothing away. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** JSON text (RFC 8259): UTF-8, and no value that is `null` as a whole, for that would end the stream that pulls it. */
const json: BodyCodec = {
  encode(value) {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`a value of type ${typeof value} has no JSON`);
    if (text === 'null') throw new TypeError('its JSON is null, which would end the stream that pulls it');
    return text;
  },
  read: (bytes) => utf8.decode(bytes),
  parse: JSON.parse as (text: string) => unknown,
};

/** Bytes as they are: Buffers, typed arrays and strings go in, Buffers come out. */
const raw: BodyCodec = {
  encode(value) {
    if (typeof value === 'string') {
      if (!value.isWellFormed()) throw new TypeError('the string has a lone surrogate, which UTF-8 cannot hold');
      return value;
    }
    if (ArrayBuffer.isView(value)) return bufferOf(value);
    throw new TypeError(`the raw codec takes strings and bytes, not a value of type ${typeof value}`);
  },
  read: (bytes) => bytes,
  parse: (bytes: Buffer) => bytes,
};

const CODECS = { json, raw };

function adapted(codec: Codec): BodyCodec {
  return {
    encode: (value) => codec.encode(value),
    read: (bytes) => bytes,
    parse: (bytes: Buffer) => codec.decode(bytes),
  };
}

/** Why an item is not handed out, in the place of its value. */
export class Invalid {
  readonly error: MillraceError;

  constructor(error: MillraceError) {
    this.error = error;
  }
}

/** The `codec` option: the name of one of ours, or one of your own. */
export type CodecOption = keyof typeof CODECS | Codec;

/** Checks the `codec` option. */
export const codec: Check = (value, name) => {
  if (typeof value === 'string' && Object.hasOwn(CODECS, value)) return;
  const { encode, decode } = (value ?? {}) as Partial<Codec>;
  if (typeof encode !== 'function' || typeof decode !== 'function') {
    throw invalidType(name, "'json', 'raw' or an object with the functions encode and decode", value);
  }
};

/** Checks the `schema` option: a Standard Schema, version 1 (https://standardschema.dev). */
export const schema: Check = (value, name) => {
  const standard = (value as Partial<StandardSchemaV1> | null | undefined)?.['~standard'];
  if (typeof standard?.validate !== 'function') throw invalidType(name, 'a Standard Schema', value);
};

/** What a stream lets in and out: its codec, its schema, and how many bytes an item may have. */
export class ItemCodec {
  readonly #codec: BodyCodec;
  readonly #schema: StandardSchemaV1 | undefined;
  readonly #maxBytes: number;

  constructor(options: { codec: CodecOption; schema?: StandardSchemaV1 | undefined; maxBytes: number }) {
    this.#codec = typeof options.codec === 'string' ? CODECS[options.codec] : adapted(options.codec);
    this.#schema = options.schema;
    this.#maxBytes = options.maxBytes;
  }

  /** The bytes of a value. Throws `ERR_MILLRACE_INVALID_ITEM` and `ERR_MILLRACE_TOO_LARGE`. */
  encode(value: unknown): Body {
    let body: Body;
    try {
      const encoded = this.#codec.encode(value);
      if (typeof encoded === 'string') body = encoded;
      else if (encoded instanceof Uint8Array) body = bufferOf(encoded);
      else throw new TypeError('the codec gave no bytes');
    } catch (cause) {
      throw invalidItem(`the codec refuses it: ${messageOf(cause)}`, value, cause);
    }
    checkSize('An item', body, this.#maxBytes, value);
    return body;
  }

  /** The values of stored bytes, or why one is {@link Invalid}: `ERR_MILLRACE_INVALID_ITEM` or `ERR_MILLRACE_TOO_LARGE`. */
  decode(items: readonly Buffer[]): unknown[] {
    const read = items.map((bytes) => this.#read(bytes));
    return read.map((one, index) => this.#parse(one, items[index] as Buffer));
  }

  /** As {@link decode}, for one, which must pass the schema, too. */
  async decodeValid(bytes: Buffer): Promise<unknown> {
    const [value] = this.decode([bytes]);
    if (value instanceof Invalid) return value;
    return this.validate(value, bytes).then(
      (valid) => carried(valid, bytes),
      (error) => new Invalid(error),
    );
  }

  #read(bytes: Buffer): unknown {
    try {
      checkSize('An item', bytes, this.#maxBytes, bytes);
      return this.#codec.read(bytes);
    } catch (cause) {
      return refused(bytes, cause);
    }
  }

  #parse(read: unknown, bytes: Buffer): unknown {
    if (read instanceof Invalid) return read;
    try {
      return carried(this.#codec.parse(read as never), bytes);
    } catch (cause) {
      return refused(bytes, cause);
    }
  }

  /** Whether there is a schema, so that items must go through {@link validate}. */
  get validates(): boolean {
    return this.#schema !== undefined;
  }

  /** What the schema makes of a value. Rejects with `ERR_MILLRACE_INVALID_ITEM`, naming `item`. */
  async validate(value: unknown, item: unknown): Promise<unknown> {
    if (!this.#schema) return value;
    let result: StandardSchemaV1.Result<unknown>;
    try {
      result = await this.#schema['~standard'].validate(value);
    } catch (cause) {
      throw invalidItem(`the schema threw: ${messageOf(cause)}`, item, cause);
    }
    if (result.issues) throw invalidItem(`the schema refuses it: ${describe(result.issues)}`, item, result.issues);
    return result.value;
  }
}

/** `value`, unless no object stream can carry it. */
function carried(value: unknown, item: unknown): unknown {
  if (value !== null && value !== undefined) return value;
  return new Invalid(invalidItem(`it is ${value}, which no object stream can carry`, item));
}

function refused(item: unknown, cause: unknown): Invalid {
  if (cause instanceof MillraceError) return new Invalid(cause);
  return new Invalid(invalidItem(`the codec refuses it: ${messageOf(cause)}`, item, cause));
}

function invalidItem(why: string, item: unknown, cause?: unknown): MillraceError {
  return new MillraceError('INVALID_ITEM', `Invalid item: ${why}`, { item, cause });
}

function describe(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.map(({ path, message }) => {
    const keys = path?.map((part) => String(typeof part === 'object' ? part.key : part)) ?? [];
    return keys.length > 0 ? `${keys.join('.')}: ${message}` : message;
  });
  return texts.join('; ');
}
