import type { StandardSchemaV1 } from '@standard-schema/spec';

/** A schema of values that a function knows: all else goes to the dead letters, with what it should have been as the reason. */
export function schemaOf<T>(isOne: (value: unknown) => value is T, message: string): StandardSchemaV1<unknown, T> {
  const validate = (value: unknown): StandardSchemaV1.Result<T> =>
    isOne(value) ? { value } : { issues: [{ message }] };
  return { '~standard': { version: 1, vendor: 'millrace', validate } };
}
