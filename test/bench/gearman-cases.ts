import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { AckStream, connect, DeliveryStream, PushStream } from 'millrace';
import { type Case, check, type Job, job } from './case.ts';

const HEADER = 12;
const [CAN_DO, JOB_CREATED, GRAB_JOB, JOB_ASSIGN, WORK_COMPLETE, SUBMIT_JOB_BG] = [1, 8, 9, 11, 13, 18];

function packet(type: number, body: string): Buffer {
  const bytes = Buffer.alloc(HEADER + Buffer.byteLength(body));
  bytes.write('\0REQ');
  bytes.writeUInt32BE(type, 4);
  bytes.writeUInt32BE(bytes.length - HEADER, 8);
  bytes.write(body, HEADER);
  return bytes;
}

/** Calls back with each packet that comes. */
function listen(socket: Socket, onPacket: (type: number, body: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    while (rest.length - at >= HEADER && rest.length - at >= HEADER + rest.readUInt32BE(at + 8)) {
      const end = at + HEADER + rest.readUInt32BE(at + 8);
      onPacket(rest.readUInt32BE(at + 4), rest.subarray(at + HEADER, end));
      at = end;
    }
    rest = rest.subarray(at);
  });
}

async function open(url: string): Promise<Socket> {
  const socket = connectSocket({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

async function pushRaw(url: string, queue: string, count: number): Promise<void> {
  const socket = await open(url);
  let created = 0;
  await new Promise<void>((resolve) => {
    listen(socket, (type) => {
      if (type === JOB_CREATED) created += 1;
      if (created === count) resolve();
    });
    socket.cork();
    for (let id = 0; id < count; id += 1) {
      socket.write(packet(SUBMIT_JOB_BG as number, `${queue}\0${id}\0${JSON.stringify(job(id))}`));
    }
    socket.uncork();
  });
  socket.destroy();
}

/** Takes jobs with so many GRAB_JOB on their way at a time, and completes each at once. */
async function workRaw(url: string, queue: string, count: number, grabs: number): Promise<void> {
  const socket = await open(url);
  let sum = 0;
  let taken = 0;
  await new Promise<void>((resolve) => {
    listen(socket, (type, body) => {
      if (type !== JOB_ASSIGN) return;
      const [handle, , text] = body.toString().split('\0');
      sum += (JSON.parse(text as string) as Job).id;
      taken += 1;
      socket.write(Buffer.concat([packet(WORK_COMPLETE as number, `${handle}\0`), packet(GRAB_JOB as number, '')]));
      if (taken === count) resolve();
    });
    socket.write(packet(CAN_DO as number, queue));
    for (let i = 0; i < grabs; i += 1) socket.write(packet(GRAB_JOB as number, ''));
  });
  check(sum, count);
  socket.end();
  await once(socket, 'close');
}

const raw =
  (grabs: number): Case =>
  async (url, queue, count) => {
    await pushRaw(url, queue, count);
    await workRaw(url, queue, count, grabs);
  };

async function byStreams(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const source = new PushStream(queue, { connection });
  for (let id = 0; id < count; id += 1) if (!source.write(job(id))) await once(source, 'drain');
  await source.close();
  let sum = 0;
  let taken = 0;
  const stream = new DeliveryStream<Job>(queue, { connection });
  const handled = new Promise<void>((resolve) => {
    const handler = ({ id }: Job): void => {
      sum += id;
      taken += 1;
      if (taken === count) resolve();
    };
    stream.pipe(new AckStream(handler));
  });
  await handled;
  check(sum, count);
}

export const RAW = 'Gearman: raw, a GRAB_JOB at a time';

export const gearman: Record<string, Case> = {
  [RAW]: raw(1),
  'Gearman: raw, 32 at a time': raw(32),
  'Gearman: PushStream, then DeliveryStream → AckStream': byStreams,
};
