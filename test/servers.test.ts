import assert from 'node:assert/strict';
import { connect } from '../lib/index.ts';
import { serversIn } from '../lib/servers.ts';

describe('servers of a URL', () => {
  it('are one or several, each with a port or without', () => {
    assert.deepEqual(serversIn('gearman://localhost', 4730), [{ host: 'localhost', port: 4730 }]);
    assert.deepEqual(serversIn('gearman://10.0.0.1:4731,b.example:1,[::1]:65535,[fe80::1]/', 4730), [
      { host: '10.0.0.1', port: 4731 },
      { host: 'b.example', port: 1 },
      { host: '::1', port: 65_535 },
      { host: 'fe80::1', port: 4730 },
    ]);
  });

  for (const url of [
    'gearman:',
    'gearman:host',
    'gearman://',
    'gearman://a,',
    'gearman://,a',
    'gearman://a:0',
    'gearman://a:65536',
    'gearman://a:',
    'gearman://a:1:2',
    'gearman://::1',
    'gearman://a b',
    'gearman://a/0',
    'gearman://a?b',
    'gearman://user@a',
  ]) {
    it(`are not those of ${url}`, () => {
      assert.equal(serversIn(url, 4730), undefined);
      assert.throws(() => connect(url), { code: 'ERR_INVALID_ARG_VALUE', message: /gearman:\/\/host/ });
    });
  }

  it('are refused without a word of what may be secret', () => {
    assert.throws(
      () => connect('gearman://user:hunter2@host'),
      (error: Error) => !error.message.includes('hunter2') && error.message.includes('host'),
    );
  });
});
