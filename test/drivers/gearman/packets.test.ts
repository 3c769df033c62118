import assert from 'node:assert/strict';
import { argumentsIn, type Packet, PacketReader, packet, Type } from '../../../lib/drivers/gearman/packets.ts';
import { random } from '../../support/random.ts';
import { numbers } from '../../support/streams.ts';

/** A packet as a server sends it. */
function response(type: number, ...args: (string | Buffer)[]): Buffer {
  const bytes = packet(type, ...args);
  bytes.write('\0RES', 0, 'latin1');
  return bytes;
}

describe('packets of Gearman', () => {
  it('have a header of twelve bytes, and arguments between NULs', () => {
    assert.equal(
      packet(Type.SUBMIT_JOB_BG, 'fn', '', Buffer.from('\0x')).toString('latin1'),
      '\0REQ\0\0\0\x12\0\0\0\x06fn\0\0\0x',
    );
    assert.equal(packet(Type.GRAB_JOB).toString('latin1'), '\0REQ\0\0\0\x09\0\0\0\0');
    assert.equal(packet(Type.CAN_DO, 'ż').readUInt32BE(8), 2);
  });

  it('give their arguments back, of which the last may contain anything', () => {
    const { head, rest } = argumentsIn(Buffer.from('H:1\0fn\0a\0b'), 2);
    assert.deepEqual([head, rest.toString()], [['H:1', 'fn'], 'a\0b']);
    const short = argumentsIn(Buffer.from('H:1'), 2);
    assert.deepEqual([short.head, short.rest.length], [['H:1', ''], 0]);
  });

  it('are read however they are cut', () => {
    const next = random();
    const bodies = numbers(200).map((n) => 'x'.repeat(Math.floor(next() * 300)) + n);
    const bytes = Buffer.concat(bodies.map((body) => response(Type.NOOP, body)));
    for (const most of [1, 7, 40, 5000]) {
      const reader = new PacketReader();
      const read: Packet[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = 1 + Math.floor(next() * most);
        read.push(...reader.read(bytes.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(
        read.map(({ type, body }) => [type, body.toString()]),
        bodies.map((body) => [Type.NOOP, body]),
      );
    }
  });

  it('are no packets where they begin as none, or say that they are larger than any', () => {
    assert.throws(() => new PacketReader().read(Buffer.from('HTTP/1.1 400 Bad Request')), /no packet of Gearman/);
    assert.throws(() => new PacketReader().read(packet(Type.NOOP)), /no packet of Gearman/);
    const huge = response(Type.NOOP);
    huge.writeUInt32BE(2 ** 31, 8);
    assert.throws(() => new PacketReader().read(huge), /2147483648 bytes/);
  });
});
