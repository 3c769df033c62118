/**
 * JSON's functions as functions that the profiler can see: it counts what is built in to whoever calls it. To be called before what is
 * profiled is loaded, which may keep a function of JSON's.
 */
export function makeJsonVisible(): void {
  const { parse, stringify } = JSON;
  JSON.parse = function parseJson(text: string, ...rest: []) {
    return parse(text, ...rest);
  };
  JSON.stringify = function stringifyJson(value: unknown, ...rest: []) {
    return stringify(value, ...rest);
  };
}
