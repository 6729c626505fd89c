/** The port of HTTP: on which addresses, and why it cannot be opened, in words for whoever set it. */

import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';

export class ListenError extends Error {
  name = 'ListenError';
}

const reasons = {
  EADDRINUSE: 'another process listens there',
  EACCES: 'the user of this process may not; ports below 1024 are for root',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host could not be looked up',
};

/**
 * @param {Error & { code?: string, syscall?: string }} error @param {string} place `host:port`
 * @returns {Error} the same where it is about something else
 */
function listenError(error, place) {
  if (!['listen', 'bind', 'getaddrinfo'].includes(error.syscall)) return error;
  return new ListenError(`cannot listen on ${place} (HOST, PORT): ${reasons[error.code] ?? error.code}`, {
    cause: error,
  });
}

/**
 * Listens on `host`, which for "localhost" are all of its addresses, as clients try them all. Fastify would make a server of its own for each
 * further one, without the fast path, the limits and the renewed certificate of the first: here they are doors of that one.
 * @param app of Fastify, not listening yet @throws ListenError
 */
export async function listen(app, { host, port }) {
  const told = (error) => {
    throw listenError(error, `${host}:${port}`);
  };
  if (host !== 'localhost') return void (await app.listen({ host, port }).catch(told));
  const found = await lookup(host, { all: true }).catch(told);
  const [first, ...others] = new Set(found.map(({ address }) => address));
  const doors = [];
  app.addHook('preClose', (done) => {
    for (const door of doors) door.close();
    done();
  });
  await app.listen({ host: first, port }).catch(told);
  for (const address of others) {
    const door = await openDoor(app.server, { host: address, port: app.server.address().port }).catch(told);
    if (door !== undefined) doors.push(door);
  }
}

/** @returns undefined where the machine has no such address, whatever its list of hosts says */
function openDoor(server, place) {
  // As node:http makes its own.
  const door = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit('connection', socket));
  return new Promise((resolve, reject) => {
    door.once('error', (error) => (absent.has(error.code) ? resolve(undefined) : reject(error)));
    // The first one keeps the process.
    door.listen(place, () => resolve(door.unref()));
  });
}

const absent = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);
