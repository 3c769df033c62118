import { rivalOf } from './all-peers.ts';
import type { Bar } from './chart.ts';

/** The bar of a case of the tables, named so that one can tell whose it is. */
export function barFor(name: string, ratio: number): Bar {
  if (rivalOf(name)) return { name, ratio, owner: 'peer' };
  if (name.startsWith('raw')) return { name, ratio, owner: 'raw' };
  return { name: `millrace: ${name}`, ratio, owner: 'millrace' };
}
