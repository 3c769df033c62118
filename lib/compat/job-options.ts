import { name } from '../options.ts';
import { type PlaceOptions, placeChecks } from './place.ts';

/** What clients and servers have in common. */
export interface JobOptions extends PlaceOptions {
  /** The name of the list, default `'jobs'`; the older README says `'job-queue'`. Of the letters of a queue's name. */
  queue?: string;
}

/** The checks of {@link JobOptions}. */
export const jobChecks = { ...placeChecks, queue: name };

/** The defaults of {@link JobOptions}. */
export const jobDefaults = { queue: 'jobs' } as const satisfies JobOptions;
