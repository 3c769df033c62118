import assert from 'node:assert/strict';
import { Prefetch } from '../lib/prefetch.ts';

const small = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.alloc(100));

/** What a puller asks for, one after the other, when the broker has plenty and the consumer reads all at once. */
function asks(prefetch: Prefetch, count: number): number[] {
  return Array.from({ length: count }, () => {
    const asked = prefetch.next(0);
    prefetch.received(asked, small(asked));
    return asked;
  });
}

describe('Prefetch', () => {
  it('starts at one and doubles, up to half of highWaterMark', () => {
    assert.deepEqual(asks(new Prefetch(64), 8), [1, 2, 4, 8, 16, 32, 32, 32]);
  });

  it('does not grow while the broker has less than was asked for', () => {
    const prefetch = new Prefetch(64);
    asks(prefetch, 3);
    for (let i = 0; i < 5; i += 1) {
      assert.equal(prefetch.next(0), 8);
      prefetch.received(8, small(3));
    }
  });

  it('never asks for more than there is room for, and waits until there is room for what it wants', () => {
    const prefetch = new Prefetch(16);
    asks(prefetch, 6);
    assert.equal(prefetch.next(8), 8);
    assert.equal(prefetch.next(9), 0);
    assert.equal(prefetch.next(16), 0);
  });

  it('asks for one at a time with a highWaterMark of 0 or 1', () => {
    for (const highWaterMark of [0, 1]) {
      const prefetch = new Prefetch(highWaterMark);
      assert.deepEqual(asks(prefetch, 3), [1, 1, 1]);
      assert.equal(prefetch.next(1), 0);
    }
  });

  it('asks for about 1 MiB where items are large, and for one where one is larger', () => {
    const prefetch = new Prefetch(1000);
    asks(prefetch, 12);
    assert.equal(prefetch.next(0), 500);
    prefetch.received(500, [Buffer.alloc(256 * 1024)]);
    assert.equal(prefetch.next(0), 4);
    prefetch.received(4, [Buffer.alloc(5 * 1024 * 1024)]);
    assert.equal(prefetch.next(0), 1);
  });

  it('keeps its pace when nothing came', () => {
    const prefetch = new Prefetch(64);
    asks(prefetch, 3);
    prefetch.received(8, []);
    assert.equal(prefetch.next(0), 8);
  });
});
