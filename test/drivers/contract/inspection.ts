import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { DeadLetterRecord, DriverConnection, Held, QueueInfo } from '../../../lib/driver.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { numbers } from '../../support/streams.ts';
import { ACK, attemptsOf, drain, hold, RELEASE, RETRY, reject, type Stage, settle, take } from './stage.ts';

const EMPTY: QueueInfo = {
  waiting: 0,
  delayed: 0,
  inProcess: 0,
  dead: 0,
  pushed: 0,
  settled: 0,
  lag: 0,
  consumers: [],
};

/** Where one can look into queues. */
export function inspection(stage: Stage): void {
  it('knows nothing of a queue that was never used', async () => {
    const { connection, queue } = await stage.ends();
    assert.deepEqual(await connection.inspect(queue), EMPTY);
    assert.deepEqual(await connection.deadLetters(queue, undefined, 10), []);
  });

  it('counts what waits, what has been pushed, and for how long', async () => {
    const { connection, queue, sender, receiver } = await stage.ends();
    const start = Date.now();
    await sender().send(['1', '2', '3']);
    await sender().send(['4']);
    const { lag, ...counts } = await connection.inspect(queue);
    assert.deepEqual({ ...counts, lag: 0 }, { ...EMPTY, waiting: 4, pushed: 4 });
    assert.ok(lag >= 0 && lag <= Date.now() - start + 1000, `lag ${lag}`);
    await take(receiver(), 4);
    assert.deepEqual(await connection.inspect(queue), { ...EMPTY, pushed: 4 });
  });

  it('lists the queues in use of its own prefix', async () => {
    const prefix = `${uniqueQueue()}:`;
    const connection = await stage.open(prefix);
    const list = async (of: DriverConnection): Promise<string[]> => {
      const names: string[] = [];
      for await (const name of of.queues()) names.push(name);
      return names.sort();
    };
    await connection.sender('two', { side: 'left' }).send(['a']);
    await connection.sender('one', { side: 'left' }).send(['a']);
    await connection.sender('empty', { side: 'left' }).send(['a']);
    await drain(connection, 'empty');
    assert.deepEqual(await list(connection), ['one', 'two']);
    assert.deepEqual(await list(await stage.open(`${prefix}t`)), ['wo']);
    if (!stage.subject.supports.deliveries) return;
    const one = stage.consumer(connection, 'two');
    const held = await hold(one, 1);
    assert.deepEqual(await list(connection), ['one', 'two']);
    await settle(one, held, reject('bad'));
    await one.close();
    assert.deepEqual(await list(connection), ['one', 'two']);
    const [letter] = await connection.deadLetters('two', undefined, 1);
    await connection.drop('two', letter?.id ?? '');
    assert.deepEqual(await list(connection), ['one']);
  });

  it('keeps what a receiver could not read as a dead letter, byte for byte', async () => {
    const { connection, queue, sender, receiver } = await stage.ends();
    const body = Buffer.concat([Buffer.from('1 2 '), randomBytes(500), Buffer.from([0, 0xff, 0x0a, 0])]);
    await sender().send([body]);
    const one = receiver();
    const [bad] = await one.receive(1);
    const start = Date.now();
    await one.deadLetter(bad as Buffer, 'cannot be read: żółć');
    const [letter, ...others] = await connection.deadLetters(queue, undefined, 10);
    assert.deepEqual(others, []);
    assert.deepEqual(letter?.bytes, body);
    assert.equal(letter?.reason, 'cannot be read: żółć');
    assert.equal(letter?.attempts, 1);
    assert.ok(Math.abs((letter?.time ?? 0) - start) < 5000, `time ${letter?.time}`);
    assert.equal((await connection.inspect(queue)).dead, 1);
  });

  it('puts a dead letter back as if it were new, or drops it', async () => {
    const { connection, queue, sender, receiver } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const one = receiver();
    for (const _ of numbers(3)) for (const bad of await one.receive(1)) await one.deadLetter(bad, 'bad');
    const letters = await connection.deadLetters(queue, undefined, 10);
    assert.deepEqual(
      letters.map(({ bytes }) => String(bytes)),
      ['1', '2', '3'],
    );
    const [first, second] = letters as [DeadLetterRecord, DeadLetterRecord];
    assert.equal(await connection.putBack(queue, first.id), true);
    assert.equal(await connection.drop(queue, second.id), true);
    for (const { id } of [first, second]) {
      assert.equal(await connection.putBack(queue, id), false);
      assert.equal(await connection.drop(queue, id), false);
    }
    const left = await connection.deadLetters(queue, second.id, 10);
    assert.deepEqual(
      left.map(({ bytes }) => String(bytes)),
      ['3'],
    );
    assert.deepEqual(await take(receiver(), 2), ['4', '1']);
  });

  if (!stage.subject.supports.deliveries) return;

  it('counts what is held, settled and dead, and by whom it is held', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(numbers(7).map(String));
    const one = consumer({ name: 'one', leaseTimeout: 20_000 });
    const held = await hold(one, 6);
    await settle(one, held.slice(0, 2), ACK);
    await settle(one, held.slice(2, 3), reject('bad'));
    await settle(one, held.slice(3, 4), RETRY);
    await settle(one, held.slice(4, 5), RELEASE);
    const now = Date.now();
    const { lag, consumers, ...counts } = await connection.inspect(queue);
    assert.ok(lag >= 0 && lag < 60_000, `lag ${lag}`);
    assert.deepEqual(counts, { waiting: 3, delayed: 0, inProcess: 1, dead: 1, pushed: 7, settled: 3 });
    const [info, ...others] = consumers;
    assert.deepEqual(others, []);
    assert.equal(info?.name, 'one');
    assert.equal(info?.held, 1);
    assert.ok(Math.abs((info?.leaseEnds ?? 0) - now - 20_000) < 15_000, `lease ends ${info?.leaseEnds}, now ${now}`);
    assert.ok((info?.oldest ?? -1) >= 0 && (info?.oldest ?? 0) < 60_000, `oldest ${info?.oldest}`);
    const other = consumer({ name: 'other' });
    await settle(other, await hold(other, 3), ACK);
    const names = (await connection.inspect(queue)).consumers.map(({ name, held, oldest }) => [name, held, oldest > 0]);
    assert.deepEqual(
      names.filter(([name]) => name === 'other'),
      [['other', 0, false]],
    );
    assert.equal(names.length, 2);
  });

  it('has nothing left of consumers that are closed but the totals', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(['a', 'b']);
    const one = consumer();
    await settle(one, await hold(one, 2), ACK);
    await one.close();
    assert.deepEqual(await connection.inspect(queue), { ...EMPTY, pushed: 2, settled: 2 });
  });

  it('keeps what was rejected as a dead letter, byte for byte, with its attempts', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    const body = Buffer.concat([Buffer.from('3 3 '), randomBytes(500), Buffer.from([0, 0xff, 0x0a, 0])]);
    await sender().send([body]);
    const one = consumer();
    await settle(one, await hold(one, 1), RETRY);
    await settle(one, await hold(one, 1), reject('no\nuse'));
    const [letter] = await connection.deadLetters(queue, undefined, 10);
    assert.deepEqual(letter?.bytes, body);
    assert.equal(letter?.reason, 'no\nuse');
    assert.equal(letter?.attempts, 2);
    await sender().send(['first']);
    await connection.putBack(queue, letter?.id ?? '');
    const held = await hold(one, 2);
    assert.deepEqual(
      held.map(({ attempt }) => attempt),
      [1, 1],
    );
    assert.deepEqual(held[1]?.bytes, body);
  });

  it('keeps the newest 10,000 dead letters, and shows them page by page', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    const one = consumer();
    const source = sender();
    for (let from = 0; from < 10_002; from += 1667) {
      await source.send(numbers(1667, from).map(String));
      await settle(one, await hold(one, 1667), reject('bad'));
    }
    const seen: number[] = [];
    let after: string | undefined;
    for (;;) {
      const page: readonly DeadLetterRecord[] = await connection.deadLetters(queue, after, 999);
      if (page.length === 0) break;
      assert.ok(page.length <= 999);
      seen.push(...page.map(({ bytes }) => Number(bytes)));
      after = page.at(-1)?.id;
    }
    assert.deepEqual(seen, numbers(10_000, 2));
    assert.equal((await connection.inspect(queue)).dead, 10_000);
  });

  if (!stage.subject.supports.delay) return;

  it('counts what is due later', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(['1', '2'], { delay: 60_000 });
    await sender().send(['3']);
    const one = consumer();
    const held: Held[] = await hold(one, 1);
    assert.deepEqual(attemptsOf(held), ['3#1']);
    await settle(one, held, { verb: 'retry', delay: 60_000 });
    await one.close();
    assert.deepEqual(await connection.inspect(queue), { ...EMPTY, delayed: 3, pushed: 3 });
  });
}
