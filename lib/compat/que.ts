import { invalidValue } from '../errors.ts';
import { checkQueueName } from '../options.ts';
import { callBack } from './callbacks.ts';
import { text } from './place.ts';
import { Broker } from './que-broker.ts';
import { type Backend, backendOn, type QueDriver } from './que-driver.ts';
import { type Definition, Model, type ModelClass, processBy } from './que-model.ts';

export type { Settle as Callback } from './callbacks.ts';
export type { QueDriver, QueJob } from './que-driver.ts';
export type { Definition, ModelClass, SubmitCallback } from './que-model.ts';
export { Model };

type Done = (error?: Error) => void;

/** By driver, the scheme of its URLs. Those that nobody has registered are millrace's own. */
const backends = new Map<string, Backend>();

/** Those that are to be disconnected. */
const connected = new Set<Backend>();

const noResult = (): void => {};

function backendOf(driver: string): Backend {
  const backend = backends.get(driver) ?? new Broker();
  backends.set(driver, backend);
  return backend;
}

/**
 * Connects to servers, of one driver or of several; jobs of a driver that has several go to them in turns, and workers work for all of them.
 *
 * @param servers URLs, whose schemes are the drivers: those that millrace knows, and those of {@link registerDriver}
 * @param callback called when all are connected, or one is refused for good
 */
export function connect(servers: string[], callback?: Done): void {
  const connecting = servers.map(async (server): Promise<void> => {
    const driver = /^([^:]+):/.exec(server)?.[1];
    if (!driver) throw invalidValue('servers', 'URLs', server);
    const backend = backendOf(driver);
    connected.add(backend);
    await backend.connect(server);
  });
  callBack(Promise.all(connecting).then(noResult), undefined, callback);
}

/** Disconnects from all servers, when the jobs that are done are done, and calls back. */
export function disconnect(callback?: Done): void {
  const disconnecting = Array.from(connected, (backend) => backend.disconnect());
  connected.clear();
  callBack(Promise.all(disconnecting).then(noResult), undefined, callback);
}

/** Defines a worker, which has a `submit()`. It works as soon as its driver is connected. */
export function define(definition: Definition): ModelClass {
  const worker = class extends Model {};
  Object.assign(worker.prototype, definition);
  return setup(worker);
}

/**
 * As {@link define}, for a class that extends {@link Model}.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the name of the job or of its driver is wrong
 */
export function setup<Worker extends ModelClass>(worker: Worker): Worker {
  const { job, driver } = new worker();
  checkQueueName(job);
  text(driver, 'driver');
  const backend = backendOf(driver);
  backend.register(job, (params) => processBy(worker, params));
  worker.submit = (params, callback) => callBack(backend.submit(job, params), false, callback);
  return worker;
}

/**
 * Registers a driver of one's own, before workers are defined for it.
 *
 * @throws ERR_INVALID_ARG_TYPE where it lacks one of its four functions
 */
export function registerDriver(name: string, driver: QueDriver): void {
  backends.set(name, backendOn(driver));
}
