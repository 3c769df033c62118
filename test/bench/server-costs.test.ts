import assert from 'node:assert/strict';
import { serverCostsOf } from './server-costs.ts';

describe('what a server has spent', () => {
  it('is told for each item, with the dearest command first, and what a script calls as part of it', () => {
    const stats = [
      '# Commandstats',
      'cmdstat_lpush:calls=5,usec=20,usec_per_call=4.00,rejected_calls=0,failed_calls=0',
      'cmdstat_evalsha:calls=5,usec=100,usec_per_call=20.00,rejected_calls=0,failed_calls=0',
      'cmdstat_info:calls=1,usec=900,usec_per_call=900.00,rejected_calls=0,failed_calls=0',
    ].join('\r\n');
    assert.deepEqual(serverCostsOf(stats, 10), { all: 10, dearest: 'evalsha 10.00, lpush 2.00' });
  });

  it('has what a transaction does as part of that', () => {
    const stats = [
      'cmdstat_exec:calls=1,usec=60,usec_per_call=60.00,rejected_calls=0,failed_calls=0',
      'cmdstat_lpush:calls=1,usec=40,usec_per_call=40.00,rejected_calls=0,failed_calls=0',
      'cmdstat_eval:calls=1,usec=15,usec_per_call=15.00,rejected_calls=0,failed_calls=0',
      'cmdstat_set:calls=1,usec=5,usec_per_call=5.00,rejected_calls=0,failed_calls=0',
    ].join('\r\n');
    assert.deepEqual(serverCostsOf(stats, 10), { all: 6, dearest: 'exec 6.00, lpush 4.00, eval 1.50, set 0.50' });
  });

  it('is that of plain commands where there are no scripts', () => {
    const stats = 'cmdstat_lpush:calls=1,usec=30,usec_per_call=30.00,rejected_calls=0,failed_calls=0';
    assert.deepEqual(serverCostsOf(stats, 10), { all: 3, dearest: 'lpush 3.00' });
  });
});
