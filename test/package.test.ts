import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RedisServer } from './support/redis.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');

/** A consumer's first program: what its types must know. */
const CONSUMER = `
interface Job { id: number; tags: string[] }
const connection = connect('memory:');
const source = new PushStream<Job>('jobs', { connection, maxLength: 10, signal: AbortSignal.timeout(1000) });
async function main(): Promise<void> {
  await source.send({ id: 1, tags: [] });
  // @ts-expect-error: not a Job
  source.send({ id: 'one' }).catch(() => {});
  Readable.from([1]).pipe(new PushStream('other', { connection }));
  const stream = new PullStream<Job>('jobs', { connection, codec: 'json' });
  for await (const job of stream) {
    const id: number = job.id;
    console.log('typed', id);
    break;
  }
  const asNode: Readable = stream;
  const asWritable: Writable = source;
  void asNode, asWritable;
  await pipeline(new PullStream('a', { connection, timeout: 0 }), new PushStream('b', { connection }));
  const held: Connection = connection;
  // @ts-expect-error: no such option
  new PullStream('jobs', { connection, maxLength: 3 });
  try { await source.close({ timeout: 100 }); } catch (error) {
    if (error instanceof MillraceError && error.code === 'ERR_MILLRACE_TIMEOUT') console.log(error.retryable);
  }
  registerDriver('mine', driver);
  await held.close();
}
declare const driver: Driver;
`;

/** What users of the older projects begin with, and the types that they get. */
const COMPAT = `
async function compat(): Promise<void> {
  const push = new Push<Job>({ queue: 'jobs', timeout: 30 });
  push.write({ id: 1 });
  const pull: Readable = new Pull({ queue: 'jobs', host: 'localhost', port: 6379, database: 1 });
  pull.pause();
  const worker = new Reply({ queue: 'jobs', onJob(data, callback, id) { this.emit(id); callback(null, data); } });
  worker.on('error', () => worker.end());
  new Request({ queue: 'jobs' }).send({ a: 1 }, (error, reply) => console.log(error?.message, reply.b), () => {});
  configure({ namespace: 'mine' });
  const producer: Producer = createProducer();
  producer.queue('math', 'add', [1, 2], (err, result) => console.log(err, result + 1));
  producer.queue('math', 'add', (err) => console.log(err));
  createConsumer('math').on('add', (items: number[], callback) => callback(null, items.length));
  // @ts-expect-error: no such option
  configure({ colour: 'red' });
  const jobs = createServer({ concurrency: 2 }).on('echo', (data, request) => [data, request.id]);
  await jobs.run().closed;
  const job = createClient().run<string>('echo', { request: 1 });
  job.then((text) => text.length).catch((error) => console.log(error)).done();
  Que.connect(['gearman://localhost', 'own://localhost'], (error) => Que.disconnect(() => console.log(error?.message)));
  const define = { job: 'echo', driver: 'gearman' };
  const Echo = Que.define({ ...define, process(callback) { callback(false, this.params.message); } });
  Echo.submit({ message: 1 }, (error, response) => console.log(error.code, response.echo));
  class Upper extends Que.Model {
    job = 'upper';
    driver = 'own';
    process(callback: Que.Callback): void { callback(false, String(this.params).toUpperCase()); }
  }
  Que.setup(Upper).submit('a');
  // @ts-expect-error: not four functions
  Que.registerDriver('own', { connect() {} });
}
`;

const ESM = `import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Connection, connect, MillraceError, PullStream, PushStream, registerDriver } from 'millrace';
import type { Driver } from 'millrace/driver';
import { createClient, createServer } from 'millrace/job-queue';
import { Pull, Push } from 'millrace/pushpull';
import * as Que from 'millrace/que';
import { Reply, Request } from 'millrace/reqrep';
import { configure, createConsumer, createProducer, type Producer } from 'millrace/swarm';
${CONSUMER}${COMPAT}main().then(compat);`;

const CJS = `import stream = require('node:stream');
import promises = require('node:stream/promises');
import millrace = require('millrace');
import Que = require('millrace/que');
import type { Connection } from 'millrace';
import type { Driver } from 'millrace/driver';
const { connect, MillraceError, PullStream, PushStream, registerDriver } = millrace;
const { pipeline } = promises;
const { Readable } = stream;
type Readable = stream.Readable;
type Writable = stream.Writable;
import { createClient, createServer } from 'millrace/job-queue';
import { Pull, Push } from 'millrace/pushpull';
import { Reply, Request } from 'millrace/reqrep';
import { configure, createConsumer, createProducer, type Producer } from 'millrace/swarm';
${CONSUMER}${COMPAT}main().then(compat);`;

/** Programs of users of the older projects, which they began with require(). */
const REQUIRED: Record<string, string> = {
  pushpull: `
const { Pull, Push } = require('millrace/pushpull');
const [worker, sender] = [new Pull({ queue: 'pushpull' }), new Push({ queue: 'pushpull' })];
worker.once('data', (data) => { console.log(data); worker.end(); sender.end(); });
sender.write('done');`,
  reqrep: `
const { Reply, Request } = require('millrace/reqrep');
const worker = new Reply({ queue: 'reqrep', onJob: (data, callback) => callback(null, data) });
const sender = new Request({ queue: 'reqrep' });
sender.send('done', (error, reply) => { console.log(reply); worker.end(); sender.end(); });`,
  swarm: `
const swarm = require('millrace/swarm');
const [producer, consumer] = [swarm.createProducer(), swarm.createConsumer('math')];
consumer.on('echo', (payload, callback) => callback(null, payload));
producer.queue('math', 'echo', 'done', (err, result) => { console.log(result); producer.end(); consumer.end(); });`,
  'job-queue': `
const JobQueue = require('millrace/job-queue');
const [client, server] = [JobQueue.createClient(), JobQueue.createServer()];
server.on('echo', (data) => data);
server.run();
client.run('echo', 'done').then((data) => { console.log(data); client.close(); server.close(); }).done();`,
  que: `
const Que = require('millrace/que');
const Echo = Que.define({ job: 'echo', driver: 'redis', process(callback) { callback(false, this.params); } });
Que.connect([process.env.MILLRACE_URL], () =>
  Echo.submit('done', (err, response) => { console.log(response); Que.disconnect(); }));`,
};

describe('the package, installed from its tarball', function () {
  this.timeout(120_000);
  let folder: string;
  let readme: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-consumer-'));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
    const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[\n')));
    await writeFile(join(folder, 'package.json'), '{ "private": true }');
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const types = `@types/node@${devDependencies['@types/node']}`;
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${filename}`, types], {
      cwd: folder,
    });
    readme = await readFile(join(root, 'README.md'), 'utf8');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  const node = async (name: string): Promise<string> => (await run(process.execPath, [name], { cwd: folder })).stdout;

  /** The code blocks of the README, from the first. */
  const blocks = (): string[] => Array.from(readme.matchAll(/^```js\n(.*?)^```$/gms), ([, code]) => code ?? '');

  it('runs the first example of the README as it stands', async () => {
    await write('example.mjs', blocks()[0] as string);
    assert.equal(await node('example.mjs'), 'resize a.jpeg\nresize b.jpeg\nresize c.jpeg\n');
  });

  it('runs it from CommonJS, with the first lines that the README gives for that', async () => {
    const [example, head] = blocks() as [string, string];
    await write('example.cjs', head + example.replace(/^import .*;\n/gm, ''));
    assert.equal(await node('example.cjs'), 'resize a.jpeg\nresize b.jpeg\nresize c.jpeg\n');
  });

  for (const [name, program] of Object.entries(REQUIRED)) {
    it(`gives millrace/${name} to require()`, async () => {
      await using server = await RedisServer.start();
      await write('required.cjs', program);
      const env = { ...process.env, MILLRACE_URL: server.url };
      const { stdout, stderr } = await run(process.execPath, ['required.cjs'], { cwd: folder, env });
      assert.equal(stdout, 'done\n');
      assert.equal(stderr, '');
    });
  }

  it('has types that a strict consumer accepts, from ESM and from CommonJS', async () => {
    await write('esm.mts', ESM);
    await write('cjs.cts', CJS);
    const compilerOptions = {
      strict: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      module: 'nodenext',
      target: 'es2022',
      noEmit: true,
      types: ['node'],
    };
    await write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['esm.mts', 'cjs.cts'] }));
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: folder }).catch(
      ({ stdout }) => assert.fail(stdout),
    );
  });

  it('holds the built files, the README and the licence, and nothing else', async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts'], { cwd: root });
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const others = files.map(({ path }) => path).filter((path) => !/^dist\/.*\.(js|d\.ts)$/.test(path));
    assert.deepEqual(others.sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
  });
});
