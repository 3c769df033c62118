import assert from 'node:assert/strict';
import { Desk } from '../lib/desk.ts';
import { type Connection, connect } from '../lib/index.ts';
import { packetsIn } from '../lib/packet.ts';
import { driverUnder } from './support/answering.ts';
import { describeEach } from './support/brokers.ts';
import { until } from './support/streams.ts';

describeEach('Desk', (broker) => {
  let connection: Connection;
  beforeEach(() => {
    connection = connect(broker().url);
  });
  afterEach(() => connection.close({ timeout: 100 }));

  it('says of each run what is to be said last, in its place among all', async () => {
    const driver = await driverUnder(connection);
    const desk = Desk.enter(driver);
    const heard: unknown[] = [];
    const inbox = driver.inbox((message) => heard.push(...packetsIn(message)));
    const say = (run: string, credit: number): void => desk.say(inbox.channel, { run, credit, deadline: 1 });
    say('a', 1);
    say('b', 2);
    say('a', 3);
    await until(() => heard.length > 0);
    say('a', 4);
    await until(() => heard.length > 2);
    assert.deepEqual(heard, [
      { run: 'a', credit: 3, deadline: 1 },
      { run: 'b', credit: 2, deadline: 1 },
      { run: 'a', credit: 4, deadline: 1 },
    ]);
    inbox.close();
    desk.leave();
  });
});
