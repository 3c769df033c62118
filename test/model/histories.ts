import fc, { type Arbitrary } from 'fast-check';
import {
  advance,
  type Command,
  close,
  crash,
  die,
  dieWaiting,
  handOver,
  hop,
  oust,
  push,
  rerun,
  serve,
  settle,
  stall,
  start,
  take,
  wait,
} from './commands.ts';
import { NAMES } from './ground.ts';
import { type Delay, LARGE, type Verb } from './model.ts';
import type { Model, Worlds } from './state.ts';

/** Few different ones, for equal items are what goes wrong; and some that look like what the broker itself writes. */
const body = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'a', 'b', LARGE) },
  { weight: 2, arbitrary: fc.constantFrom('1 2 a', '', '\0\r\n\xff') },
);
const bodies = fc.array(body, { minLength: 1, maxLength: 4, size: 'medium' });
const who = fc.nat(3);
const which = fc.nat(5);
const delay = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Delay>('none') },
  { weight: 1, arbitrary: fc.constantFrom<Delay>('later', 'last') },
);
const verb = fc.constantFrom<Verb>('ack', 'ack', 'retry', 'later', 'reject', 'release');
/** Seldom, for it takes time until a client is connected again. */
const oneIn = (count: number): Arbitrary<boolean> =>
  fc.oneof({ weight: count - 1, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const isLossy = oneIn(40);

const weighed: { readonly weight: number; readonly arbitrary: Arbitrary<Command> }[] = [
  {
    weight: 4,
    arbitrary: fc.tuple(bodies, fc.constantFrom('left', 'right'), delay, isLossy).map((all) => push(...all)),
  },
  { weight: 1, arbitrary: fc.tuple(bodies, fc.integer({ min: 1, max: 3 }), isLossy).map((all) => rerun(...all)) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...NAMES), isLossy).map((all) => start(...all)) },
  { weight: 7, arbitrary: fc.tuple(who, fc.integer({ min: 1, max: 5 }), isLossy).map((all) => take(...all)) },
  {
    weight: 2,
    arbitrary: fc.tuple(who, fc.integer({ min: 1, max: 3 }), bodies, fc.boolean(), isLossy).map((all) => wait(...all)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(who, fc.array(body, { minLength: 6, maxLength: 8 }), oneIn(8)).map((all) => serve(...all)),
  },
  { weight: 1, arbitrary: fc.tuple(who, bodies).map((all) => dieWaiting(...all)) },
  { weight: 5, arbitrary: fc.tuple(who, fc.integer({ min: 1, max: 3 })).map((all) => handOver(...all)) },
  {
    weight: 9,
    arbitrary: fc
      .tuple(who, fc.array(fc.tuple(which, verb), { minLength: 1, maxLength: 3 }), oneIn(20))
      .map((all) => settle(...all)),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(who, fc.array(which, { minLength: 1, maxLength: 3 }), bodies, delay, isLossy)
      .map((all) => hop(...all)),
  },
  { weight: 1, arbitrary: who.map(crash) },
  { weight: 1, arbitrary: fc.tuple(who, isLossy).map((all) => close(...all)) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 3 }).map(advance) },
  { weight: 1, arbitrary: who.map(stall) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map(die) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map(oust) },
];

/** Any history, of at most so many parts. */
export function histories(maxCommands: number): Arbitrary<Iterable<Command>> {
  return fc.commands<Model, Worlds, false>([fc.oneof(...weighed)], { size: 'medium', maxCommands }) as Arbitrary<
    Iterable<Command>
  >;
}
