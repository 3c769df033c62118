/** que itself, in a process of its own, for it has no way to disconnect: a worker of a job, or who submits what it is told to. */
import { createRequire } from 'node:module';
import { onStop, onTold, say, settings } from '../../chaos/parent.ts';

type Callback = (error: unknown, response?: unknown) => void;

const que = createRequire(import.meta.url)('que');
const { job, works } = settings<{ job: string; works: boolean }>();

/** The worker of the README, and what else may come of a job. */
function reverse(this: { params: { message: string } | null }, callback: Callback): void {
  const { message } = this.params ?? { message: '' };
  if (message === 'fail') callback('failed');
  else if (message === '') callback(false);
  else callback(false, { echo: message.split('').reverse().join(''), by: 'the original' });
}

onStop(() => process.exit());
que.connect([process.env['MILLRACE_URL']], () => {
  if (works) que.define({ job, driver: 'gearman', process: reverse });
  say({ connected: true });
});
onTold(({ params }) => {
  // Who defines a worker to submit its jobs would do them as well.
  const submitted = que.Model.submit.call(
    { job, driver: que.drivers.gearman },
    params,
    (error: unknown, response: unknown) => say({ response: { error, response } }),
  );
  submitted.on('error', ({ message }: Error) => say({ response: { error: message } }));
});
