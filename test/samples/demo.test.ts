import assert from 'node:assert/strict';
import { link, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../lib/index.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/streams.ts';
import { Program, run } from './program.ts';

const DEMO = 'samples/demo/main.ts';

/** A folder with nine files, of which four are duplicates. */
class Folder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), 'millrace-demo-')));
    await mkdir(join(folder.path, 'sub/ünter'), { recursive: true });
    for (const name of ['large', 'sub/large']) await writeFile(join(folder.path, name), Buffer.alloc(200_000, 7));
    for (const name of ['a', 'sub/☃', 'sub/ünter/名前 b']) await writeFile(join(folder.path, name), 'hello');
    for (const name of ['empty', 'sub/empty']) await writeFile(join(folder.path, name), '');
    await writeFile(join(folder.path, 'alone'), 'alone');
    await link(join(folder.path, 'alone'), join(folder.path, 'sub/alone'));
    await symlink('a', join(folder.path, 'link'));
    await symlink('.', join(folder.path, 'circle'));
    return folder;
  }

  /** Adds files in `slow/` whose hashing takes long, each with a content of its own; they take no room on the disk. */
  async addSlow(count: number, bytes: number): Promise<string[]> {
    await mkdir(join(this.path, 'slow'));
    const paths = Array.from({ length: count }, (_, i) => join(this.path, 'slow', String(i)));
    for (const [i, path] of paths.entries()) {
      await writeFile(path, '');
      await truncate(path, bytes + i);
    }
    return paths;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

const DUPLICATES = `200.0 kB wasted by 2 files of 200.0 kB:
  large
  sub/large

10 bytes wasted by 3 files of 5 bytes:
  a
  sub/ünter/名前 b
  sub/☃

0 bytes wasted by 2 files of 0 bytes:
  empty
  sub/empty

Skipped: 2 symbolic links
`;

function wholeReport(folder: Folder): string {
  return `${DUPLICATES}9 files of 400.0 kB in all in ${folder.path}
4 duplicates in 3 groups, wasting 200.0 kB in all
`;
}

/** Kills worker processes, and resolves with those that take their places. */
async function kill(demo: Program, pids: number[]): Promise<number[]> {
  const replaced = pids.map((pid) => demo.line('stderr', new RegExp(`^Worker ${pid} was ended by SIGKILL`)));
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  const lines = await Promise.all(replaced);
  return lines.map((line) => numberIn(line, /Worker (\d+) takes its place/));
}

/** The number in a text, as the demo writes it. */
function numberIn(text: string, pattern: RegExp): number {
  const [, number] = pattern.exec(text) ?? assert.fail(`no ${pattern} in ${text}`);
  return Number(number?.replaceAll(',', ''));
}

describe('the demo', () => {
  it('reports the duplicates in a folder, without any server', async () => {
    await using folder = await Folder.make();
    const { code, stdout } = await run(DEMO, folder.path);
    assert.equal(stdout, wholeReport(folder));
    assert.equal(code, 0);
  });

  it('does the same through Redis, with workers in processes of their own, and leaves no queue there', async () => {
    await using folder = await Folder.make();
    await using server = await RedisServer.start();
    const { code, stdout } = await run(DEMO, folder.path, '--connection', server.url, '--workers', '3');
    assert.equal(stdout, wholeReport(folder));
    assert.equal(code, 0);
    assert.deepEqual(await server.client().scan(0, 'COUNT', 1000, 'TYPE', 'list'), ['0', []]);
  });

  it('counts a file that is gone before a worker gets to it', async () => {
    await using folder = await Folder.make();
    await using server = await RedisServer.start();
    await server.client().lpush('left', JSON.stringify(join(folder.path, 'gone')));
    const { stdout } = await run(DEMO, folder.path, '--connection', server.url, '--queue', 'left', '--workers', '1');
    assert.match(stdout, /^Skipped: 2 symbolic links, 1 vanished file$/m);
  });

  it('finishes, on Ctrl-C, what the workers hold, loses no path, and goes on when run again', async () => {
    await using folder = await Folder.make();
    await using server = await RedisServer.start();
    const slow = await folder.addSlow(1000, 64_000_000);
    const all = 9 + slow.length;
    const args = [folder.path, '--connection', server.url, '--workers', '3', '--queue', 'files'];

    await using interrupted = new Program(DEMO, args);
    await interrupted.line('stderr', new RegExp(`^[1-9]\\d* of ${all} files hashed$`));
    interrupted.interrupt();
    const { code, stdout, stderr } = await interrupted.ended;
    assert.equal(code, 130);
    const left = numberIn(stderr, /^Stopped with ([\d,]+) paths left\. Run this again with --queue files/m);
    const hashed = numberIn(stdout, /^([\d,]+) files? of /m);
    assert.equal(left + hashed, all);

    const client = server.client();
    // What a worker had in advance comes before the rest, with the number of its attempts.
    const again = (await client.lrange('{files}:again', 0, -1)).map((entry) => entry.replace('0 0 ', ''));
    const paths = [...again, ...(await client.lrange('files', 0, -1))].map((item) => JSON.parse(item));
    const results = (await client.lrange('files:results', 0, -1)).map((item) => JSON.parse(item).path);
    assert.deepEqual([paths.length, results.length], [left, hashed]);
    assert.equal(new Set([...paths, ...results]).size, all);

    // Still no two alike, and no longer slow.
    for (const path of slow) await writeFile(path, path);
    const resumed = await run(DEMO, ...args);
    assert.ok(resumed.stdout.startsWith(DUPLICATES), resumed.stdout);
    assert.equal(numberIn(resumed.stdout, /^([\d,]+) files of /m), all);
    assert.equal(resumed.code, 0);
    assert.equal(await client.exists('files', '{files}:again', 'files:results'), 0);
  });

  it('quits at once on a second Ctrl-C, and its workers with it', async () => {
    await using folder = await Folder.make();
    await using server = await RedisServer.start();
    const client = server.client();
    await folder.addSlow(1, 20_000_000_000);
    const args = [join(folder.path, 'slow'), '--connection', server.url, '--workers', '2', '--queue', 'files'];
    await using demo = new Program(DEMO, args);
    await demo.line('stderr', /^0 of 1 files hashed$/);
    // Until a worker has it in hand.
    while (await client.exists('files'));
    demo.interrupt();
    await demo.line('stderr', /^Stopping/);
    const again = setInterval(() => demo.interrupt(), 100);
    const { code, stdout } = await demo.ended.finally(() => clearInterval(again));
    // A signal may also meet it on its way out.
    assert.ok(code === 130 || code === null, String(code));
    assert.equal(stdout, '');
    while (
      String(await client.client('LIST'))
        .trim()
        .split('\n').length > 1
    );
  });

  describe('when workers are killed', () => {
    let server: RedisServer;
    beforeEach(async () => {
      server = await RedisServer.start();
    });
    afterEach(() => server[Symbol.asyncDispose]());

    /** A run of the demo in which something happens to its workers; then one in which nothing does, for comparison. */
    async function check(folder: Folder, disturb: (demo: Program, pids: number[]) => Promise<void>): Promise<void> {
      const args = [folder.path, '--connection', server.url, '--workers', '3', '--queue', 'files'];
      await using demo = new Program(DEMO, args);
      const workers = await demo.line('stderr', /^Workers that you may kill -9: \d+, \d+, \d+$/);
      await disturb(demo, workers.replace(/.*: /, '').split(', ').map(Number));
      const { code, stdout } = await demo.ended;
      const undisturbed = await run(DEMO, folder.path);
      assert.equal(stdout, undisturbed.stdout);
      assert.equal(code, 0);
      assert.deepEqual(await server.client().scan(0, 'COUNT', 1000, 'TYPE', 'list'), ['0', []]);
      // No result was stored twice: there are as many as files, and two marks.
      await using connection = connect(server.url);
      const { pushed } = await connection.inspect('files:results');
      assert.equal(pushed, numberIn(stdout, /^([\d,]+) files of /m) + 2);
    }

    it('reports the same, whenever that is', async () => {
      await using folder = await Folder.make();
      await folder.addSlow(40, 20_000_000);
      await using connection = connect(server.url);
      await check(folder, async (demo, pids) => {
        // The last is one that took a place.
        for (const done of [0, 1, 10, 20]) {
          await until(async () => (await connection.inspect('files:results')).pushed > done);
          pids.push(...(await kill(demo, pids.splice(0, 1))));
        }
      });
    });

    it('reports the same when all die that hold a file', async () => {
      await using folder = await Folder.make();
      const [slow = ''] = await folder.addSlow(1, 20_000_000_000);
      await using connection = connect(server.url);
      await check(folder, async (demo, pids) => {
        await until(async () => {
          const { waiting, inProcess, pushed } = await connection.inspect('files');
          return waiting === 0 && inProcess > 0 && pushed > 9;
        });
        const replaced = kill(demo, pids);
        // Nobody can have hashed it, and nobody can until a lease is over: it need not be slow any more.
        await writeFile(slow, 'slow');
        await replaced;
      });
    });

    it('reports the same when those die, too, that took their places', async () => {
      await using folder = await Folder.make();
      await check(folder, async (demo, pids) => {
        await kill(demo, await kill(demo, pids));
      });
    });
  });

  it('shows all its options with --help', async () => {
    const { code, stdout, stderr } = await run(DEMO, '--help');
    for (const option of ['--connection', '--workers', '--queue', '--help']) assert.ok(stdout.includes(option), option);
    assert.equal(stderr, '');
    assert.equal(code, 0);
  });

  for (const [what, args, message] of [
    ['an unknown option', ['--colour'], /Unknown option '--colour'/],
    ['a second folder', ['a', 'b'], /only one folder, not also b/],
    ['a number of workers that is none', ['--workers', 'many'], /--workers must be a number from 1 to 99, not many/],
    [
      'a URL that means no broker',
      ['--connection', 'http://localhost'],
      /a URL that begins with one of memory:, redis:/,
    ],
    ['a name that no queue can have', ['--queue', '{a}'], /"queue" argument must be a name/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const { code, stdout, stderr } = await run(DEMO, ...args);
      assert.match(stderr, message);
      assert.equal(stdout, '');
      assert.equal(code, 2);
    });
  }

  it('says that a folder does not exist', async () => {
    const { code, stderr } = await run(DEMO, '/no/such/folder');
    assert.equal(stderr, 'Cannot look into /no/such/folder: there is no such folder\n');
    assert.equal(code, 1);
  });
});
