/** As much of Express 3 as the example of JobQueue needs: of later ones it would not run, and who has it need not install it for this. */
import { createServer } from 'node:http';

export function express() {
  const settings = new Map();
  const handlers = new Map();
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const params = Object.fromEntries(searchParams);
    const send = (body) => response.end(String(body));
    if (handlers.has(pathname)) handlers.get(pathname)({ params }, { send });
    else response.writeHead(404).end();
  });
  return {
    configure: (configuration) => configuration(),
    set: (name, value) => settings.set(name, value),
    get: (name, handler) => (handler ? handlers.set(name, handler) : settings.get(name)),
    listen: (port, listening) => server.listen(port, listening),
  };
}
