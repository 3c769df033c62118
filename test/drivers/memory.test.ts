import assert from 'node:assert/strict';
import { connectMemory } from '../../lib/drivers/memory.ts';
import { contract } from './contract.ts';

contract('memory', {
  supports: { sides: true, maxLength: true },
  open: async (prefix = '') => connectMemory('memory:contract', { prefix, maxClients: 100 }),
});

describe('memory driver', () => {
  const options = { prefix: '', maxClients: 1 };

  it('shares a store by its name, and makes a new one without', async () => {
    const send = (url: string) => connectMemory(url, options).sender('q', { side: 'left' }).send(['a']);
    const take = async (url: string): Promise<number> => {
      const receiver = connectMemory(url, options).receiver('q', { side: 'right', onUnanswered: () => assert.fail() });
      const receiving = receiver.receive(1);
      receiver.cancel();
      return (await receiving).length;
    };
    await send('memory:shared');
    assert.equal(await take('memory:other'), 0);
    assert.equal(await take('memory:shared'), 1);
    await send('memory:');
    assert.equal(await take('memory:'), 0);
  });
});
