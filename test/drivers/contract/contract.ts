import { bounds } from './bounds.ts';
import { comings, consumers, settlements } from './consumers.ts';
import { delays } from './delays.ts';
import { hops } from './hops.ts';
import { inspection } from './inspection.ts';
import { leases } from './leases.ts';
import { producers } from './producers.ts';
import { pushPull, sides } from './push-pull.ts';
import { requests } from './requests.ts';
import { Stage, type Subject } from './stage.ts';

/** The suite that every driver passes, as far as it says that it supports what is asked. */
export function contract(name: string, subject: Subject): void {
  const { supports } = subject;
  describe(`driver contract: ${name}`, () => {
    const stage = new Stage(subject);
    afterEach(() => stage.close());

    const parts = [
      [true, pushPull],
      [supports.sides, sides],
      [supports.maxLength, bounds],
      [supports.producers, producers],
      [supports.delay, delays],
      [supports.deliveries, consumers],
      [supports.deliveries, settlements],
      [supports.deliveries && supports.attempts, comings],
      [supports.deliveries && supports.names, leases],
      [supports.deliveries && supports.hops, hops],
      [supports.inspection, inspection],
      [supports.deliveries && supports.inspection && supports.requests, requests],
    ] as const;
    for (const [supported, part] of parts) if (supported) part(stage);
  });
}
