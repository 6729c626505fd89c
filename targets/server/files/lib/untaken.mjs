/**
 * Answers that nobody takes: a client that asks and does not read would hold its answer, and a connection, for as long as it likes. What is left of an
 * answer is looked at now and then, whatever way it went; a request costs nothing more.
 */

/** Milliseconds between looks. A connection ends this much late at most. */
const lookMs = 500;

/**
 * @param {number} limitMs an answer of which nothing has been taken for so long ends with its connection
 * @returns {(socket: import('node:net').Socket) => void} to be told of each connection
 */
export function endUntaken(limitMs) {
  const open = new Set();
  /** Socket → what was left at the last look that found less than the one before, and when that was. */
  const waiting = new WeakMap();
  const look = (socket, now) => {
    if (socket.writableLength === 0) return void waiting.delete(socket);
    // What the system has not taken; `writableLength` changes only when it has all of a piece.
    const left = `${socket._handle?.writeQueueSize} ${socket.bytesWritten}`;
    const before = waiting.get(socket);
    if (before?.left !== left) waiting.set(socket, { left, since: now });
    else if (now - before.since > limitMs) socket.destroy();
  };
  setInterval(() => {
    const now = performance.now();
    for (const socket of open) look(socket, now);
  }, lookMs).unref();
  return (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
}
