/**
 * Node.js takes one new connection in each turn of its event loop, and a turn may hold a run of several rows (place.mjs): of 48 clients that came at once,
 * with 16 that were there, some waited 590 ms for runs of 16 rows, and 90 ms where all are taken before a run (ResNet-20, one CPU).
 */

import { subscribe } from 'node:diagnostics_channel';

/** So many turns at most: connections without end must not keep a run from its turn. */
const mostTurns = 256;

let arrived = 0;
let seen = 0;

/** A connection has been taken. */
export function arrive() {
  arrived++;
}

// By whatever server of this thread: HTTP's, or gRPC's, which keeps its own to itself.
subscribe('net.server.socket', arrive);

/** Calls `go` at once where no connection has come since the last time, else after a turn that brought none. */
export function afterArrivals(go, turns = mostTurns) {
  if (arrived === seen || turns === 0) return go();
  seen = arrived;
  setImmediate(() => afterArrivals(go, turns - 1));
}
