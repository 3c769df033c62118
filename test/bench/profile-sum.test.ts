import assert from 'node:assert/strict';
import type { Profiler } from 'node:inspector';
import { makeJsonVisible } from './profile-json.ts';
import { JSON_NAMES, OWNERS, sharesOf } from './profile-sum.ts';

type Frame = [functionName: string, url: string, caller?: number];

/** A profile of functions, numbered from 0, of which each is met once, for as many microseconds as its number and one. */
function profileOf(frames: readonly Frame[]): Profiler.Profile {
  const nodes = frames.map(([functionName, url], id) => ({
    id,
    callFrame: { functionName, url, scriptId: '0', lineNumber: 0, columnNumber: 0 },
    children: frames.flatMap(([, , caller], child) => (caller === id ? [child] : [])),
  }));
  const samples = nodes.map(({ id }) => id);
  return { nodes, samples, timeDeltas: [0, ...samples.map((id) => id + 1)], startTime: 0, endTime: 0 };
}

/** The owner of the last of some functions. */
function ownerOfLast(...frames: Frame[]): string | undefined {
  const profile = profileOf(frames);
  const { percents } = sharesOf({ ...profile, samples: [frames.length - 1], timeDeltas: [0, 1] });
  return OWNERS[percents.indexOf(100)];
}

describe('the profile of the bench', () => {
  for (const [owner, ...frame] of [
    ['millrace', 'encode', 'file:///somewhere/dist/codec.js'],
    ['ioredis', 'decode', 'file:///somewhere/node_modules/ioredis/built/resp/decoder.js'],
    ['streams, events', 'push', '/somewhere/node_modules/readable-stream/lib/internal/streams/readable.js'],
    ['streams, events', 'emit', 'node:events'],
    ['streams, events', 'pumpToNode', 'node:internal/streams/pipeline'],
    ['sockets', 'handleWriteReq', 'node:internal/stream_base_commons'],
    ['Node, else', 'processImmediate', 'node:internal/timers'],
    ['Node, else', '(program)', ''],
    ['garbage', '(garbage collector)', ''],
    ['JSON', 'parseJson', 'file:///somewhere/test/bench/profile-json.ts'],
    ['jobs', 'job', 'file:///somewhere/test/bench/case.ts'],
  ] as const) {
    it(`knows that ${frame[0]} is of: ${owner}`, () => {
      assert.equal(ownerOfLast(['(root)', ''], [...frame, 0]), owner);
    });
  }

  it('counts what is built in to who called it', () => {
    const caller: Frame = ['handleWriteReq', 'node:internal/stream_base_commons', 0];
    assert.equal(ownerOfLast(['(root)', ''], caller, ['writeUtf8String', '', 1]), 'sockets');
  });

  it('leaves out what is idle, and names the functions of millrace by their time', () => {
    const { percents, top } = sharesOf(
      profileOf([
        ['(root)', ''],
        ['(idle)', '', 0],
        ['(garbage collector)', '', 0],
        ['encode', 'file:///a/dist/codec.js', 0],
        ['', 'file:///a/dist/drivers/redis/sender.js', 0],
        ['byteLength', '', 4],
      ]),
    );
    const percent = (part: number): number => (100 * part) / (1 + 3 + 4 + 5 + 6);
    assert.deepEqual(top, [
      { name: '(anonymous), drivers/redis/sender.js', percent: percent(5 + 6) },
      { name: 'encode, codec.js', percent: percent(4) },
    ]);
    assert.equal(percents[OWNERS.indexOf('millrace')], percent(15));
    assert.equal(percents[OWNERS.indexOf('garbage')], percent(3));
  });

  it('has JSON do what it did, under names of its own', () => {
    const { parse, stringify } = JSON;
    try {
      makeJsonVisible();
      assert.deepEqual(
        [JSON.parse, JSON.stringify].map(({ name }) => name),
        JSON_NAMES,
      );
      assert.deepEqual(JSON.parse('{"a":[1]}'), { a: [1] });
      assert.equal(JSON.stringify({ a: [1] }, null, 1), stringify({ a: [1] }, null, 1));
    } finally {
      Object.assign(JSON, { parse, stringify });
    }
  });
});
