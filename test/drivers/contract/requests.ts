import assert from 'node:assert/strict';
import type { DriverConnection, Held } from '../../../lib/driver.ts';
import { cancelledName, failureText, type RequestPacket, replyText } from '../../../lib/packet.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { nextTurn, numbers } from '../../support/streams.ts';
import { Letters } from './letters.ts';
import { ACK, drain, hold, reject, type Stage, settle } from './stage.ts';

const HOUR = 3_600_000;

/** Where requests can be answered and cancelled. */
export function requests(stage: Stage): void {
  /** Somebody who asks and somebody who answers, each with a connection of its own. */
  async function ends() {
    const [asking, answering] = await Promise.all([stage.open(), stage.open()]);
    const queue = uniqueQueue();
    const letters = new Letters(asking);
    letters.inbox.watch(queue);
    const sender = asking.sender(queue, { side: 'left' });
    const packetOf = (id: string): RequestPacket => ({ id, method: 'm', channel: letters.inbox.channel });
    const ask = (...ids: string[]): Promise<boolean> => sender.send(ids.map((id) => JSON.stringify(packetOf(id))));
    const consumer = stage.consumer(answering, queue);
    const answer = (held: Held, text = replyText(packetIn(held).id, packetIn(held).id)): Promise<boolean> =>
      consumer.settle(held, { verb: 'ack', reply: { channel: packetIn(held).channel, text } });
    const cancel = (id: string, until = asking.now() + HOUR): Promise<void> => {
      const body = JSON.stringify(packetOf(id));
      return asking.cancel(queue, { channel: letters.inbox.channel, id, body, until });
    };
    return { asking, answering, queue, letters, ask, packetOf, consumer, answer, cancel };
  }

  /** Resolves when the inboxes of a connection are open: behind them the broker has answered something else. */
  async function opened(connection: DriverConnection, queue: string): Promise<void> {
    await connection.ready();
    await connection.inspect(queue);
  }

  function packetIn(held: Held): RequestPacket {
    return JSON.parse(String(held.bytes));
  }

  it('gives each inbox a channel that nobody can guess', async () => {
    const connection = await stage.open();
    const channels = [new Letters(connection), new Letters(connection)].map(({ inbox }) => inbox.channel);
    for (const channel of channels) assert.match(channel, /^millrace:replies:[\w-]{22}$/);
    assert.notEqual(channels[0], channels[1]);
  });

  it('knows the time', async () => {
    const connection = await stage.open();
    await connection.ready();
    assert.ok(Math.abs(connection.now() - Date.now()) < 60_000);
  });

  it('replies in the step that acknowledges, in order, once', async () => {
    const { ask, consumer, answer, letters, asking, queue } = await ends();
    await ask('a', 'b', 'c');
    const held = await hold(consumer, 3);
    assert.deepEqual(await Promise.all(held.map((one) => answer(one))), [true, true, true]);
    assert.deepEqual(await letters.ids(3), ['a', 'b', 'c']);
    assert.deepEqual(letters.replies[0], { id: 'a', success: true, data: 'a' });
    assert.deepEqual(await drain(asking, queue), []);
    assert.equal(letters.replies.length, 3);
  });

  it('replies to each at its own channel', async () => {
    const { ask, consumer, answer, letters, asking, queue } = await ends();
    const others = new Letters(await stage.open());
    others.inbox.watch(queue);
    await ask('a', 'b');
    const packet = JSON.stringify({ id: 'x', method: 'm', channel: others.inbox.channel });
    await asking.sender(queue, { side: 'left' }).send([packet]);
    const held = await hold(consumer, 3);
    await Promise.all(held.map((one) => answer(one)));
    assert.deepEqual(await letters.ids(2), ['a', 'b']);
    assert.deepEqual(await others.ids(1), ['x']);
  });

  it('replies nothing for who does not hold the request any more', async () => {
    const { ask, answering, queue, answer, letters } = await ends();
    const former = stage.consumer(answering, queue, { name: 'worker', onLost: () => {} });
    await ask('a');
    const [held] = await hold(former, 1);
    const later = stage.consumer(answering, queue, { name: 'worker' });
    const [again] = await hold(later, 1);
    const late = { channel: letters.inbox.channel, text: failureText('a', { name: 'Error', message: 'late' }) };
    assert.equal(await former.settle(held as Held, { verb: 'ack', reply: late }), false);
    const reply = { channel: letters.inbox.channel, text: replyText('a', 'once') };
    assert.equal(await later.settle(again as Held, { verb: 'ack', reply }), true);
    await letters.ids(1);
    await nextTurn();
    assert.deepEqual(letters.replies, [{ id: 'a', success: true, data: 'once' }]);
    assert.equal(await answer(held as Held), false);
  });

  it('replies where nothing is held', async () => {
    const { answering, letters, asking, queue } = await ends();
    const { channel } = letters.inbox;
    await opened(asking, queue);
    await answering.reply(numbers(5).map((n) => ({ channel, text: replyText(String(n), n) })));
    assert.deepEqual(await letters.ids(5), ['0', '1', '2', '3', '4']);
  });

  it('replies where nothing is held to who watches a queue', async () => {
    const { answering, letters, queue } = await ends();
    const { channel } = letters.inbox;
    for (const n of numbers(5)) await answering.reply([{ channel, text: replyText(String(n), n) }], queue);
    assert.deepEqual(await letters.ids(5), ['0', '1', '2', '3', '4']);
  });

  it('hears nothing more when the inbox is closed', async () => {
    const { answering, letters, asking, queue } = await ends();
    const others = new Letters(asking);
    letters.inbox.close();
    await opened(asking, queue);
    await answering.reply([{ channel: letters.inbox.channel, text: replyText('a', 1) }]);
    await answering.reply([{ channel: others.inbox.channel, text: replyText('b', 1) }]);
    await others.ids(1);
    assert.deepEqual(letters.replies, []);
  });

  it('answers a request that becomes a dead letter', async () => {
    const { ask, consumer, letters } = await ends();
    await ask('a');
    await settle(consumer, await hold(consumer, 1), reject('it is "bad"'));
    await letters.ids(1);
    const error = { name: 'MillraceError', message: 'it is "bad"', code: 'ERR_MILLRACE_DEAD_LETTER' };
    assert.deepEqual(letters.replies, [{ id: 'a', success: false, error }]);
  });

  it('keeps dead letters that only look like requests', async () => {
    const { asking, queue, consumer } = await ends();
    const bodies = ['{"channel":1,"id":"a","method":"m"}', '{"channel":"c"', '["channel"]', '"\\"channel\\""'];
    await asking.sender(queue, { side: 'left' }).send(bodies);
    await settle(consumer, await hold(consumer, 4), reject('bad'));
    const letters = await asking.deadLetters(queue, undefined, 10);
    assert.deepEqual(
      letters.map(({ bytes }) => String(bytes)),
      bodies,
    );
  });

  it('takes a request out of the queue that is cancelled, and no other', async () => {
    const { ask, cancel, consumer, asking, queue } = await ends();
    await ask('a', 'b', 'a', 'c');
    await cancel('a');
    const held = await hold(consumer, 3);
    assert.deepEqual(
      held.map((one) => packetIn(one).id),
      ['a', 'b', 'c'],
    );
    await settle(consumer, held, ACK);
    const { pushed, settled } = await asking.inspect(queue);
    assert.deepEqual({ pushed, settled }, { pushed: 4, settled: 4 });
  });

  it('tells of a request that is cancelled when it is held', async () => {
    const { ask, cancel, consumer, answering, queue, packetOf } = await ends();
    let tell: (request: string) => void = () => {};
    const told = new Promise<string>((resolve) => (tell = resolve));
    const cancellations = answering.cancellations(queue, tell);
    await cancellations.ready;
    await ask('a', 'b');
    const held = await hold(consumer, 2);
    await cancel('a');
    assert.equal(await told, cancelledName(packetOf('a')));
    assert.equal(cancellations.has(packetOf('a')), true);
    assert.equal(cancellations.has(packetOf('b')), false);
    await settle(consumer, held, ACK);
    cancellations.close();
  });

  it('remembers a request that is cancelled before it comes', async () => {
    const { cancel, answering, queue, packetOf, asking } = await ends();
    await cancel('early');
    await cancel('over', asking.now() - 1);
    const cancellations = answering.cancellations(queue, () => {});
    await cancellations.ready;
    assert.equal(cancellations.has(packetOf('early')), true);
    assert.equal(cancellations.has(packetOf('over')), false);
    cancellations.close();
  });

  it('cancels nothing of another queue, nor for another requester', async () => {
    const { cancel, answering, queue, packetOf } = await ends();
    const elsewhere = answering.cancellations(uniqueQueue(), (request) => assert.fail(`${request} is cancelled`));
    const here = answering.cancellations(queue, () => {});
    await Promise.all([elsewhere.ready, here.ready]);
    await cancel('a');
    const late = answering.cancellations(queue, () => {});
    await late.ready;
    const foreign = { ...packetOf('a'), channel: 'millrace:replies:other' };
    assert.equal(late.has(foreign), false);
    assert.equal(late.has(packetOf('a')), true);
    for (const one of [elsewhere, here, late]) one.close();
  });
}
