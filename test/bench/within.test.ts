import assert from 'node:assert/strict';
import { within } from './within.ts';

describe('the time limit of the bench', () => {
  it('gives what is done in time', async () => {
    assert.equal(await within(60_000, 'a case', Promise.resolve(3)), 3);
    await assert.rejects(within(60_000, 'a case', Promise.reject(new Error('lost'))), /^Error: lost$/);
  });

  it('names who takes longer', async () => {
    await assert.rejects(within(1, 'a case', new Promise(() => {})), /^Error: "a case" has taken longer than 0.001 s$/);
  });
});
