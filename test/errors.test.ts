import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, MillraceError, PushStream } from '../lib/index.ts';

const root = join(import.meta.dirname, '..');

/** All files below a folder whose names end so. */
function files(folder: string, ending: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true }) as string[];
  return names.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
}

describe('MillraceError', () => {
  it('has a code, keeps its cause, names the item, and says whether to try again', async () => {
    const stream = new PushStream('q', { connection: 'memory:errors' });
    const error = await stream.send(1n).catch((thrown) => thrown);
    assert.ok(error instanceof MillraceError);
    assert.ok(error instanceof Error);
    assert.equal(error.name, 'MillraceError');
    assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
    assert.ok(error.cause instanceof TypeError);
    assert.equal(error.item, 1n);
    assert.equal(error.retryable, false);
    await stream.close();
  });

  it('is retryable where the same call may succeed later', async () => {
    const connection = connect('memory:');
    const stream = new PushStream('q', { connection, maxLength: 1 });
    stream.write(1);
    stream.write(2);
    const error = await stream.close({ timeout: 40 }).catch((thrown) => thrown);
    assert.equal(error.code, 'ERR_MILLRACE_TIMEOUT');
    assert.equal(error.retryable, true);
    await connection.close();
  });

  it('has a test for every code', () => {
    const table =
      /const CODES = \{(.*?)\n\} as const/s.exec(readFileSync(join(root, 'lib/errors.ts'), 'utf8'))?.[1] ?? '';
    const codes = Array.from(table.matchAll(/^ {2}([A-Z_]+):/gm), ([, code]) => code);
    assert.ok(codes.length > 5);
    const tests = files('test', '.test.ts')
      .map((file) => readFileSync(join(root, file), 'utf8'))
      .join('\n');
    for (const code of codes) assert.ok(tests.includes(`'ERR_MILLRACE_${code}'`), `no test for ${code}`);
  });
});
