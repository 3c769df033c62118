import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const lib = join(import.meta.dirname, '..', 'lib');

/** The floors of the house, from the ground up. A file imports from its own floor and those below, as `connect.ts` says. */
const FLOORS: readonly (readonly string[])[] = [
  [
    'driver.ts',
    'packet.ts',
    'bag.ts',
    'fifo.ts',
    'expiring.ts',
    'codec.ts',
    'size.ts',
    'options.ts',
    'errors.ts',
    'servers.ts',
    'streams.ts',
    'stream-iterator.ts',
    'timeout.ts',
    'abort-listeners.ts',
  ],
  [
    'connect.ts',
    'prefetch.ts',
    'stream-options.ts',
    'delivery.ts',
    'buffers.ts',
    'delivery-options.ts',
    'dead-letters.ts',
    'pace.ts',
    'unsettled.ts',
    'drivers/',
  ],
  [
    'hop.ts',
    'writes.ts',
    'push-stream.ts',
    'pull-stream.ts',
    'delivery-stream.ts',
    'handling.ts',
    'handling-transform.ts',
    'work-transform.ts',
    'ack-stream.ts',
    'desk.ts',
    'request-options.ts',
    'request-errors.ts',
    'pending.ts',
    'asker.ts',
    'part-request.ts',
    'part-stream.ts',
    'request-duplex.ts',
    'contract.ts',
    'request.ts',
    'methods.ts',
    'origin.ts',
    'outbox.ts',
    'part-run.ts',
    'plain-requests.ts',
    'reply-texts.ts',
    'reply-transform.ts',
  ],
  ['work.ts', 'serve.ts', 'service.ts', 'client.ts'],
  ['index.ts', 'testing.ts', 'compat/'],
];

/** Packages, and the only files that may import them at run time. */
const PACKAGES: Record<string, readonly string[]> = {
  'readable-stream': ['streams.ts'],
  ioredis: ['drivers/redis/clients.ts'],
  'generic-pool': ['drivers/redis/pool.ts'],
  '@standard-schema/spec': [],
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
  readonly lazy: boolean;
}

const files = (readdirSync(lib, { recursive: true }) as string[]).filter((name) => name.endsWith('.ts'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(lib, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from '([^']+)';$/gms);
  const lazy = text.matchAll(/\bimport\('([^']+)'\)/g);
  return [
    ...Array.from(statements, ([, type, target]) => ({
      file,
      target: target ?? '',
      typeOnly: Boolean(type),
      lazy: false,
    })),
    ...Array.from(lazy, ([, target]) => ({ file, target: target ?? '', typeOnly: false, lazy: true })),
  ];
}

function floorOf(file: string): number {
  return FLOORS.findIndex((floor) =>
    floor.some((place) => (place.endsWith('/') ? file.startsWith(place) : file === place)),
  );
}

const imports = files.flatMap(importsOf);
const inside = imports
  .filter(({ target }) => target.startsWith('.'))
  .map((one) => ({ ...one, target: normalize(join(dirname(one.file), one.target)) }));

describe('the layers of lib', () => {
  it('have a place for every file', () => {
    assert.ok(files.length > 10);
    for (const file of files) assert.notEqual(floorOf(file), -1, `${file} is on no floor`);
  });

  it('import only what lies on the same floor or below', () => {
    assert.ok(inside.length > 20);
    for (const { file, target } of inside) {
      assert.ok(floorOf(target) <= floorOf(file), `${file} imports ${target}, which is above it`);
    }
  });

  it('let no stream import a driver, and load drivers lazily', () => {
    for (const { file, target, lazy } of inside) {
      if (!target.startsWith('drivers/') || file.startsWith('drivers/')) continue;
      // What is for tests alone has the driver that is for tests alone in its hands.
      if (file === 'testing.ts' && target.startsWith('drivers/memory/')) continue;
      // What speaks Redis as the older projects did has the clients of its driver in its hands.
      if (file.startsWith('compat/') && target.startsWith('drivers/redis/')) continue;
      assert.ok(file === 'connect.ts' && lazy, `${file} imports ${target}`);
    }
  });

  it('let no driver import another', () => {
    const driver = (file: string): string | undefined => /^drivers\/([^/.]+)/.exec(file)?.[1];
    for (const { file, target } of inside) {
      if (driver(file) && driver(target)) assert.equal(driver(target), driver(file), `${file} imports ${target}`);
    }
  });

  it('keep the driver contract free of code', () => {
    for (const { typeOnly, file } of imports) if (file === 'driver.ts') assert.ok(typeOnly);
    const text = readFileSync(join(lib, 'driver.ts'), 'utf8');
    assert.doesNotMatch(text, /^(export )?(const|let|function|class) /m);
  });

  it('import nothing in a circle', () => {
    const below = new Map<string, string[]>(files.map((file) => [file, []]));
    for (const { file, target, typeOnly, lazy } of inside) if (!typeOnly && !lazy) below.get(file)?.push(target);
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `${[...path, file].join(' → ')}`);
      for (const target of below.get(file) ?? []) visit(target, [...path, file]);
    };
    for (const file of files) visit(file, []);
  });

  it('import packages in one place each', () => {
    for (const { file, target, typeOnly } of imports) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      assert.ok(target in PACKAGES, `${file} imports ${target}`);
      if (!typeOnly) assert.ok(PACKAGES[target]?.includes(file), `${file} imports ${target}`);
    }
  });
});
