/** Where a server listens. */
export interface Server {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const SERVER = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;

/**
 * The servers of a URL `scheme://host:port,host:port`, in that order; nothing where it is none. A URL as WHATWG has it knows but one host.
 *
 * @param defaultPort where no port is said
 */
export function serversIn(url: string, defaultPort: number): Server[] | undefined {
  const list = /^[a-z]+:\/\/([^/]*)\/?$/.exec(url)?.[1];
  if (list === undefined) return undefined;
  const servers: Server[] = [];
  for (const text of list.split(',')) {
    const [matched, address, name, digits] = SERVER.exec(text) ?? [];
    const port = digits === undefined ? defaultPort : Number(digits);
    if (matched === undefined || port < 1 || port > 65_535) return undefined;
    servers.push({ host: (address ?? name) as string, port });
  }
  return servers;
}
