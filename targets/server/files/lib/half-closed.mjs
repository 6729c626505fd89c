/** Clients that end their half of a connection: with their request they wait for its answer, later they have given up. Both look the same. */

/**
 * Milliseconds after a request within which a client that ends its half has said all it wants to say (`nc -N`). Work that nobody waits for
 * keeps others waiting.
 */
export const saidAllMs = 50;

/**
 * For connections of node:http, which without it ends its own half at once, and the answer is lost.
 * @returns {(socket: import('node:net').Socket) => void} to be told of each connection
 */
export function answerHalfClosed(server) {
  /** Socket → { response, at }: its last request, and when that was in */
  const asked = new WeakMap();
  server.httpAllowHalfOpen = true;
  server.on('request', (request, response) => {
    const last = { response, at: performance.now() };
    asked.set(request.socket, last);
    request.once('end', () => (last.at = performance.now()));
  });
  return (socket) => {
    socket.on('end', () => {
      const last = asked.get(socket);
      if (last && !last.response.writableEnded && performance.now() - last.at > saidAllMs) socket.destroy();
    });
  };
}
