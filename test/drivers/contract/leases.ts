import assert from 'node:assert/strict';
import type { Consumer, ConsumerOptions, Held } from '../../../lib/driver.ts';
import { ACK, attemptsOf, type Ends, getsNothing, hold, RELEASE, type Stage, settle, textsOf } from './stage.ts';

const FENCED = { code: 'ERR_MILLRACE_FENCED' };

/** What a consumer has lost, as soon as it has. */
function losing(): Pick<ConsumerOptions, 'onLost'> & { readonly lost: Promise<readonly Held[]> } {
  let onLost: ConsumerOptions['onLost'] = () => {};
  const lost = new Promise<readonly Held[]>((resolve) => {
    onLost = resolve;
  });
  return { lost, onLost };
}

/** Where items can be held: what becomes of them when their consumer is no more. */
export function leases(stage: Stage): void {
  it('gives what a consumer holds to who starts under its name, and fences it off', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const { lost, onLost } = losing();
    const former = consumer({ name: 'worker', onLost });
    const held = await hold(former, 3);
    const later = consumer({ name: 'worker' });
    assert.deepEqual(attemptsOf(await hold(later, 4)), ['1#1', '2#1', '3#1', '4#1']);
    assert.equal(await former.settle(held[0] as Held, ACK), false);
    // The first may be told by its settlement alone.
    assert.deepEqual(textsOf(await lost).slice(-2), ['2', '3']);
    await assert.rejects(former.receive(1), FENCED);
    for (const item of held.slice(1)) assert.equal(await former.settle(item, RELEASE), false);
    await former.close();
    await getsNothing(later);
  });

  it('fences off one that waits', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['a']);
    const former = consumer({ name: 'worker' });
    await settle(former, await hold(former, 1), ACK);
    const waiting = assert.rejects(former.receive(1), FENCED);
    const later = consumer({ name: 'worker' });
    const receiving = later.receive(1);
    await waiting;
    await sender().send(['b']);
    assert.deepEqual(attemptsOf(await receiving), ['b#1']);
  });

  it('lets consumers of other names, and of other queues, be', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(['a']);
    await connection.sender(`${queue}2`, { side: 'left' }).send(['b']);
    const one = consumer({ name: 'one' });
    const elsewhere = stage.consumer(connection, `${queue}2`, { name: 'two' });
    const [held, other] = [await hold(one, 1), await hold(elsewhere, 1)];
    await getsNothing(consumer({ name: 'two' }));
    await settle(one, held, ACK);
    await settle(elsewhere, other, ACK);
  });

  it('charges an attempt for what was handed over, and nothing for what was not', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const former = consumer({ name: 'worker', onLost: () => {} });
    const held = await hold(former, 4);
    for (const item of held.slice(0, 2)) former.handOver(item);
    await settle(former, held.slice(0, 1), ACK);
    assert.deepEqual(attemptsOf(await hold(consumer({ name: 'worker' }), 3)), ['2#2', '3#1', '4#1']);
  });

  it('has what it takes back before what comes again', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3']);
    const former = consumer({ name: 'worker', onLost: () => {} });
    await hold(former, 2);
    const other = consumer();
    await settle(other, await hold(other, 1), { verb: 'retry', delay: 0 });
    assert.deepEqual(attemptsOf(await hold(consumer({ name: 'worker' }), 3)), ['1#1', '2#1', '3#2']);
  });

  it('gives what two consumers have died of alone', async () => {
    const { sender, consumer } = await stage.ends();
    const one = await suspect({ sender, consumer });
    assert.deepEqual(attemptsOf(await one.receive(10)), ['suspect#3']);
    await getsNothing(one);
    const other = consumer();
    const others = await hold(other, 2);
    assert.deepEqual(attemptsOf(others), ['1#1', '2#1']);
    await settle(other, others, RELEASE);
    await one.close();
    const last = consumer();
    const alone = await last.receive(10);
    assert.deepEqual(attemptsOf(alone), ['suspect#3']);
    const receiving = last.receive(10);
    await settle(last, alone, ACK);
    assert.deepEqual(textsOf([...(await receiving), ...(await hold(last, 2 - (await receiving).length))]), ['1', '2']);
  });

  it('gives a suspect to a consumer once that holds nothing else', async () => {
    const { sender, consumer } = await stage.ends();
    const one = await suspect({ sender, consumer });
    const alone = await one.receive(10);
    const other = consumer();
    const held = await hold(other, 2);
    await settle(one, alone, RELEASE);
    await one.close();
    await getsNothing(other);
    await settle(other, held.slice(0, 1), ACK);
    await getsNothing(other);
    const receiving = other.receive(10);
    await settle(other, held.slice(1), ACK);
    assert.deepEqual(attemptsOf(await receiving), ['suspect#3']);
  });

  if (stage.subject.supports.inspection) {
    it('makes a dead letter of what a consumer has died of in its last attempt', async () => {
      const { connection, queue, sender, consumer } = await stage.ends();
      await sender().send(['told', 'deadly', 'innocent']);
      const former = consumer({ name: 'worker', maxAttempts: 1, onLost: () => {} });
      const held = await hold(former, 3);
      for (const item of held.slice(0, 2)) former.handOver(item);
      await settle(former, held.slice(0, 1), ACK);
      assert.deepEqual(attemptsOf(await consumer({ name: 'worker', maxAttempts: 1 }).receive(10)), ['innocent#1']);
      const [letter] = await connection.deadLetters(queue, undefined, 10);
      assert.equal(String(letter?.bytes), 'deadly');
      assert.equal(letter?.attempts, 1);
      assert.match(letter?.reason ?? '', /attempt 1 of 1 .*its consumer died/);
    });
  }

  const { crash } = stage.subject;
  if (!crash) return;

  it('has what a consumer held that has died again when its lease has ended', async () => {
    const { queue, sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const connection = await stage.open();
    const dying = stage.consumer(connection, queue, { name: 'dying', leaseTimeout: 400, onLost: () => {} });
    const held = await hold(dying, 4);
    for (const item of held.slice(0, 2)) dying.handOver(item);
    await settle(dying, held.slice(0, 1), ACK);
    const start = Date.now();
    const other = consumer({ leaseTimeout: 400 });
    const receiving = other.receive(10);
    await crash(connection, 'dying');
    const got = await receiving;
    assert.ok(Date.now() - start >= 200, 'its lease had not ended');
    assert.deepEqual(attemptsOf([...got, ...(await hold(other, 3 - got.length))]), ['2#2', '3#1', '4#1']);
  });

  it('has what a consumer held that has died at once where it is started again', async () => {
    const { queue, sender, consumer } = await stage.ends();
    await sender().send(['1', '2']);
    const connection = await stage.open();
    const dying = stage.consumer(connection, queue, { name: 'dying', onLost: () => {} });
    await hold(dying, 2);
    await crash(connection, 'dying');
    assert.deepEqual(attemptsOf(await hold(consumer({ name: 'dying' }), 2)), ['1#1', '2#1']);
  });

  it('leaves a consumer alone that lives on for longer than its lease', async () => {
    const { queue, sender, consumer } = await stage.ends();
    await sender().send(['kept', 'lost']);
    const connection = await stage.open();
    const living = consumer({ name: 'living', leaseTimeout: 300 });
    const held = await hold(living, 1);
    const dying = stage.consumer(connection, queue, { name: 'dying', leaseTimeout: 900, onLost: () => {} });
    await hold(dying, 1);
    await crash(connection, 'dying');
    const other = consumer({ leaseTimeout: 900 });
    assert.deepEqual(textsOf(await other.receive(10)), ['lost']);
    await settle(living, held, ACK);
  });
}

/** A queue of three items, of which the first has killed two consumers; and the third of that name. */
async function suspect({ sender, consumer }: Pick<Ends, 'sender' | 'consumer'>): Promise<Consumer> {
  await sender().send(['told', 'suspect', '1', '2', 'told later']);
  const first = consumer({ name: 'worker', onLost: () => {} });
  const held = await hold(first, 5);
  for (const item of held.slice(0, 2)) first.handOver(item);
  // An answer says that the broker knows: of what was handed over, too.
  await settle(first, held.slice(0, 1), ACK);
  const second = consumer({ name: 'worker', onLost: () => {} });
  const again = await hold(second, 4);
  second.handOver(again[0] as Held);
  await settle(second, again.slice(3), ACK);
  return consumer({ name: 'worker' });
}
