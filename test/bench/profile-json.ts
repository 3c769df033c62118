import { runInNewContext } from 'node:vm';

/** What calls another function, under a name that the profiler shows. */
type Wrapper = <Called>(called: Called) => Called;

/** Of another context, for a function of the same the compiler may merge with whoever calls it, and the profiler counts it to that. */
const parsing: Wrapper = runInNewContext('(called) => function parseJson(...args) { return called(...args) }');
const stringifying: Wrapper = runInNewContext('(called) => function stringifyJson(...args) { return called(...args) }');

/**
 * JSON's functions as functions that the profiler can see: it counts what is built in to whoever calls it. To be called before what is
 * profiled is loaded, which may keep a function of JSON's.
 */
export function makeJsonVisible(): void {
  JSON.parse = parsing(JSON.parse);
  JSON.stringify = stringifying(JSON.stringify);
}
