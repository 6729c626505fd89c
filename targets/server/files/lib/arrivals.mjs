/**
 * Node.js takes one new connection in each turn of its event loop. Where a turn holds a run of several rows (place.mjs), 48 clients that came at once
 * waited for up to 590 ms, until 48 runs of 8 ms had gone before (ResNet-20, one CPU); a turn without a run takes some 0.02 ms.
 */

/** So many turns at most: connections without end must not keep a run from its turn. */
const mostTurns = 256;

let arrived = 0;
let seen = 0;

/** A connection has been taken. */
export function arrive() {
  arrived++;
}

/** Calls `go` at once where no connection has come since the last time, else after a turn that brought none. */
export function afterArrivals(go, turns = mostTurns) {
  if (arrived === seen || turns === 0) return go();
  seen = arrived;
  setImmediate(() => afterArrivals(go, turns - 1));
}
