/**
 * Connections of node:http on which nothing is asked any more. It ends those that are silent after an answer; an empty line now and then, which is
 * no request, would hold one for as long as a client likes.
 */

/** Milliseconds between looks. */
const lookMs = 1000;

/** @param {number} limitMs from the last answer to the next request, whole */
export function endUnasked(server, limitMs) {
  /** Socket → when its last answer ended; undefined while one is due. */
  const answered = new Map();
  server.on('request', ({ socket }, response) => {
    if (!answered.has(socket)) socket.once('close', () => answered.delete(socket));
    answered.set(socket, undefined);
    response.once('finish', () => {
      if (answered.has(socket)) answered.set(socket, performance.now());
    });
  });
  setInterval(() => {
    const now = performance.now();
    for (const [socket, since] of answered) if (since !== undefined && now - since > limitMs) socket.destroy();
  }, lookMs).unref();
}
