/** The channel to which the replies to a request go that a worker's link holds as a job. */
export function channelOf(link: string, handle: string): string {
  return `gearman:${link}:${handle}`;
}

/** The name of the link, and the handle of the job, that a channel is of; nothing where it is of none. */
export function jobOf(channel: string): { readonly link: string; readonly handle: string } | undefined {
  const [, link, handle] = /^gearman:([^:]+):(.*)$/.exec(channel) ?? [];
  return link === undefined || handle === undefined ? undefined : { link, handle };
}
