import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/redis.ts';
import { provide } from './program.ts';
import { untilSaid } from './until-said.ts';

/** What Debian has in the PATH runs the server as another user, in folders of its own. */
const PROGRAM = {
  command: 'rabbitmq-server',
  package: 'rabbitmq-server',
  folders: ['/usr/lib/rabbitmq/bin'],
};

/** A rabbitmq-server for the benchmark, without plugins, on free ports, in a folder of its own, and the daemon that its node has to have. */
export class RabbitServer implements AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly #folder: string;
  readonly #processes: readonly ChildProcess[];

  private constructor(url: string, pid: number, folder: string, processes: readonly ChildProcess[]) {
    this.url = url;
    this.pid = pid;
    this.#folder = folder;
    this.#processes = processes;
  }

  /** Starts one; nothing where there is none, and none can be installed. */
  static async start(): Promise<RabbitServer | undefined> {
    const command = provide(PROGRAM);
    if (command === undefined) return undefined;
    const [port, epmdPort, distributionPort] = await Promise.all([freePort(), freePort(), freePort()]);
    const folder = await mkdtemp(join(tmpdir(), 'millrace-rabbitmq-'));
    const epmd = spawn('epmd', ['-address', '127.0.0.1', '-port', String(epmdPort), '-d'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const processes: ChildProcess[] = [epmd];
    try {
      await untilSaid(epmd, epmd.stderr, 'running');
      const env = { ...process.env, ...settingsFor(folder, port, epmdPort, distributionPort) };
      const server = spawn(command, { env, stdio: ['ignore', 'pipe', 'ignore'] });
      processes.push(server);
      await untilSaid(server, server.stdout, 'Server startup complete');
      // The command is a shell that waits for the process that is the server.
      const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
      return new RabbitServer(`amqp://127.0.0.1:${port}`, pid, folder, processes);
    } catch (error) {
      for (const one of processes) one.kill();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends it as a power cut does: nobody wants what it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#processes.map((one) => once(one, 'exit'));
    process.kill(this.pid, 'SIGKILL');
    for (const one of this.#processes) one.kill();
    await Promise.all(ended);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function settingsFor(folder: string, port: number, epmdPort: number, distributionPort: number): NodeJS.ProcessEnv {
  return {
    HOME: folder,
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `millrace-bench-${process.pid}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: folder,
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    // There is none of these: a machine's own are not to be used.
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'rabbitmq-env'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
  };
}
