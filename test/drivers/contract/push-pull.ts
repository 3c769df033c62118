import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Body } from '../../../lib/driver.ts';
import { numbers } from '../../support/streams.ts';
import { drain, nextTurn, type Stage, take, texts } from './stage.ts';

/** What every driver does: items go in at one end and come out at the other. */
export function pushPull(stage: Stage): void {
  it('is ready when the broker answers', async () => {
    const connection = await stage.open();
    await connection.ready();
  });

  it('gives items in the order in which they were sent', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['1', '2', '3']);
    await sender().send(['4']);
    assert.deepEqual(await take(receiver(), 4), ['1', '2', '3', '4']);
  });

  it('keeps the order of batches that are sent without waiting', async () => {
    const { sender, receiver } = await stage.ends();
    const one = sender();
    const sent = numbers(100).map((n) => one.send([`${n}a`, `${n}b`]));
    await Promise.all(sent);
    assert.deepEqual(
      await take(receiver(), 200),
      numbers(100).flatMap((n) => [`${n}a`, `${n}b`]),
    );
  });

  it('gives at most as many as were asked for', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(numbers(10).map(String));
    const one = receiver();
    assert.deepEqual(texts(await one.receive(3)), ['0', '1', '2']);
    assert.deepEqual(texts(await one.receive(1)), ['3']);
    assert.deepEqual(await take(one, 6), ['4', '5', '6', '7', '8', '9']);
  });

  it('waits for the first item', async () => {
    const { sender, receiver } = await stage.ends();
    const receiving = receiver().receive(5);
    await sender().send(['late']);
    assert.deepEqual(texts(await receiving), ['late']);
  });

  it('gives each item to one receiver alone', async () => {
    const { sender, receiver } = await stage.ends();
    const receivers = [receiver(), receiver(), receiver()];
    const taken: number[] = [];
    const working = receivers.map(async (one) => {
      while (taken.length < 300) taken.push(...texts(await one.receive(4)).map(Number));
      for (const each of receivers) each.cancel();
    });
    const one = sender();
    for (const n of numbers(60)) await one.send(numbers(5).map((i) => String(n * 5 + i)));
    await Promise.all(working);
    assert.deepEqual(
      taken.sort((a, b) => a - b),
      numbers(300),
    );
  });

  it('carries any bytes, and text as its UTF-8', async () => {
    const { sender, receiver } = await stage.ends();
    const bodies: Body[] = [
      randomBytes(1000),
      Buffer.alloc(0),
      '',
      'żółć 🦊 \0 \r\n',
      Buffer.from([0xff, 0xfe, 0x00, 0x0a]),
    ];
    await sender().send(bodies);
    const one = receiver();
    const items: Buffer[] = [];
    while (items.length < bodies.length) items.push(...(await one.receive(10)));
    assert.deepEqual(
      items,
      bodies.map((body) => Buffer.from(body as string)),
    );
  });

  it('carries an item of 10 MB', async () => {
    const { sender, receiver } = await stage.ends();
    const body = randomBytes(10_000_000);
    await sender().send([body]);
    assert.ok((await receiver().receive(1))[0]?.equals(body));
  });

  it('does not change what is stored when its writer changes the bytes', async () => {
    const { sender, receiver } = await stage.ends();
    const body = Buffer.from('before');
    await sender().send([body]);
    body.fill('x');
    assert.deepEqual(await take(receiver(), 1), ['before']);
  });

  it('ends a call that waits when it is cancelled, and can be asked again', async () => {
    const { sender, receiver } = await stage.ends();
    const one = receiver();
    for (let round = 0; round < 20; round += 1) {
      const receiving = one.receive(1);
      one.cancel();
      assert.deepEqual(await receiving, []);
    }
    await sender().send(['still there']);
    assert.deepEqual(await take(one, 1), ['still there']);
  });

  it('ignores a cancel when no call is under way', async () => {
    const { sender, receiver } = await stage.ends();
    const one = receiver();
    one.cancel();
    await sender().send(['a']);
    assert.deepEqual(await take(one, 1), ['a']);
  });

  it('loses no item to a cancel that races with it', async () => {
    const { sender, receiver } = await stage.ends();
    const one = receiver();
    const source = sender();
    const taken: string[] = [];
    const rounds = numbers(200);
    for (const n of rounds) {
      const receiving = one.receive(2);
      const sending = source.send([String(n)]);
      if (n % 2) await nextTurn();
      one.cancel();
      taken.push(...texts(await receiving));
      await sending;
    }
    taken.push(...(await take(one, rounds.length - taken.length)));
    assert.deepEqual(taken, rounds.map(String));
  });

  it('puts items back so that they come again first, in order', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['1', '2', '3', '4', '5']);
    const one = receiver();
    const items: Buffer[] = [];
    while (items.length < 4) items.push(...(await one.receive(4 - items.length)));
    await one.giveBack(items.slice(1));
    assert.deepEqual(await take(receiver(), 4), ['2', '3', '4', '5']);
  });

  it('puts thousands of items back in order', async () => {
    const { sender, receiver } = await stage.ends();
    const bodies = numbers(5000).map(String);
    await sender().send(bodies);
    const one = receiver();
    const items: Buffer[] = [];
    while (items.length < bodies.length) items.push(...(await one.receive(bodies.length)));
    await one.giveBack(items);
    assert.deepEqual(await take(one, bodies.length), bodies);
  });

  it('wakes one that waits with an item that is put back', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['a']);
    const one = receiver();
    const items = await one.receive(1);
    const waiting = receiver().receive(1);
    await one.giveBack(items);
    assert.deepEqual(texts(await waiting), ['a']);
  });

  it('keeps dead letters out of the queue', async () => {
    const { connection, queue, sender, receiver } = await stage.ends();
    await sender().send(['bad', 'good']);
    const one = receiver();
    const [bad] = await one.receive(1);
    await one.deadLetter(bad as Buffer, 'no reason');
    assert.deepEqual(await drain(connection, queue), ['good']);
  });

  it('keeps queues apart, and prefixes', async () => {
    const { connection, queue, sender } = await stage.ends();
    const prefixed = await stage.open('other:');
    await sender().send(['a']);
    await connection.sender(`${queue}2`, { side: 'left' }).send(['b']);
    await prefixed.sender(queue, { side: 'left' }).send(['c']);
    assert.deepEqual(await drain(connection, queue), ['a']);
    assert.deepEqual(await drain(connection, `${queue}2`), ['b']);
    assert.deepEqual(await drain(prefixed, queue), ['c']);
  });

  it('rejects a send that is behind a close, or given up by it', async () => {
    const { sender } = await stage.ends();
    const one = sender({ maxLength: stage.subject.supports.maxLength ? 1 : undefined });
    await one.send(['a']);
    const waiting = stage.subject.supports.maxLength ? one.send(['b']) : undefined;
    const given = waiting && assert.rejects(waiting, { code: 'ERR_MILLRACE_CLOSED' });
    await one.close();
    await given;
    await one.close();
  });

  it('counts nothing as open when all is closed', async () => {
    const { connection, sender, receiver } = await stage.ends();
    const one = sender();
    const other = receiver();
    await one.send(['a']);
    await other.receive(1);
    const waiting = other.receive(1);
    other.cancel();
    await waiting;
    await one.close();
    await other.close();
    await connection.close();
    assert.deepEqual(connection.stats(), { clients: 0, waiting: 0 });
  });
}

/** Where either end of a queue can be used. */
export function sides(stage: Stage): void {
  it('takes the newest first from the left', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['1', '2', '3']);
    assert.deepEqual(await take(receiver({ side: 'left' }), 3), ['3', '2', '1']);
  });

  it('puts items before all others from the right', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['1', '2']);
    await sender({ side: 'right' }).send(['urgent']);
    assert.deepEqual(await take(receiver(), 3), ['urgent', '1', '2']);
  });

  it('gives the oldest first from the left where they were put in at the right, and has the others at both ends', async () => {
    const { sender, receiver } = await stage.ends();
    const [right, left] = [sender({ side: 'right' }), receiver({ side: 'left' })];
    await right.send(['1', '2', '3', '4']);
    assert.deepEqual(await take(left, 2), ['1', '2']);
    await right.send(['5']);
    assert.deepEqual(await take(left, 1), ['3']);
    assert.deepEqual(await take(receiver(), 2), ['5', '4']);
  });

  it('puts items back at the left where they came from there', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['1', '2', '3']);
    const one = receiver({ side: 'left' });
    const items: Buffer[] = [];
    while (items.length < 2) items.push(...(await one.receive(2 - items.length)));
    await one.giveBack(items);
    assert.deepEqual(await take(one, 3), ['3', '2', '1']);
  });
}
