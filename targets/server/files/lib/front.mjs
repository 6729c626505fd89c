/**
 * Connections without TLS begin here. As long as only plain requests for inference come (head.mjs, exchange.mjs), their bodies
 * are read into the memory that the tensors are views of, all but what comes with the head;
 * node:http allocates each piece of up to 64 kB anew, copies it once more, and leaves it to the garbage collector. With the first
 * request of another kind the connection goes over to node:http, with all bytes that have not been used, and stays there.
 * Measured on one CPU, 307 kB a request and nothing done with it: 0.08 ms of CPU, with node:http 0.19 to 0.3; 12 kB: 0.017 and 0.033.
 */

import { STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import { Exchange, plainInference } from './exchange.mjs';
import { saidAllMs } from './half-closed.mjs';
import { maxHead, plainHead } from './head.mjs';
import { Memory } from './parted.mjs';

/**
 * Heads, and bodies that fit in with them; what is missing then is read to where it is wanted. Measured with 307 kB a request
 * and a session behind it on one CPU: 0.11 ms of CPU a request with 1 kB as with 16, 0.15 with 64, most of it for the copy.
 */
const readBytes = 16_384;
/**
 * Less than this is missing: one more read into the shared memory does. Copying 4 kB from there takes 0.2 µs, 16 kB 0.7; the view that a read past it
 * needs takes 0.1.
 */
const direct = 4096;
/**
 * Answers up to this size go out as one text with their head. Measured, µs of CPU for each answer, as one text and as two pieces at once: 0.5 kB
 * 3.6 and 4.2, 4 kB 7.1 and 5.0, 16 kB 12.3 and 6.2, 64 kB 33 and 15.
 */
const joinedBytes = 1024;
/**
 * Milliseconds between looks at who is slow. Limits are whole seconds, and end this much late at most; a look at 10,000 connections takes 0.04 ms.
 */
const tickMs = 500;
/** Milliseconds for which connections without a request stay when the server closes. */
const lastCallMs = 500;
const endOfHead = '\r\n\r\n';

/**
 * Takes the connections of `server` before node:http does.
 * @param server node:http's @param services as Exchange has them
 * @param {(error: object, socket: Socket) => void} refuse answers what is not HTTP, or too slow, and ends the connection
 * @param {(socket: Socket) => void} opened is told of each connection
 * @returns {{ close(): void }} close: no connection waits for another request
 */
export function openFront(server, services, refuse, opened = () => {}) {
  const [http] = server.listeners('connection');
  const open = new Set();
  const shared = { services, refuse, opened, server, http, open, memory: Buffer.allocUnsafeSlow(readBytes) };
  server.removeListener('connection', http);
  server.on('connection', (socket) => {
    if (!canTake(socket)) {
      opened(socket);
      return http.call(server, socket);
    }
    open.add(new Connection(shared, socket));
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const connection of open) connection.tick(now);
  }, tickMs).unref();
  return {
    close() {
      clearInterval(timer);
      // Clients that are at work send their next request within that time, and learn from its answer that they shall go elsewhere; one that is on
      // its way when the connection ends gets none.
      setTimeout(() => {
        for (const connection of open) connection.endWhenIdle();
      }, lastCallMs).unref();
    },
  };
}

/** A handle that reads where it is told to; other versions of Node may have others. */
function canTake(socket) {
  return typeof socket._handle?.useUserBuffer === 'function' && '_server' in socket;
}

class Connection {
  #shared;
  #socket;
  /** 'head', 'body', or 'busy' while an answer is due. */
  #phase = 'head';
  /** Bytes that came and have not been looked at to the end. */
  #rest = [];
  #exchange;
  #missing = 0;
  /** Memory that the next bytes are read to: the shared one, or what is left of a body's. */
  #where;
  #since = performance.now();
  #idle = true;
  #answered = false;
  /** When the request was in to which an answer is due. */
  #asked = 0;
  /** The client says nothing more. */
  #last = false;
  #lastText;
  #lastHead;
  #memory = new Memory();
  // What comes after an error is 'close'.
  #events = { end: () => this.#end(), error: () => {}, close: () => this.#close() };

  /** @param given the socket as node:net made it; its handle goes to one that reads into the shared memory */
  constructor(shared, given) {
    this.#shared = shared;
    const handle = given._handle;
    given._handle = null;
    this.#where = shared.memory;
    const onread = { buffer: () => this.#where, callback: (count, memory) => this.#read(count, memory) };
    const socket = new Socket({ handle, readable: true, writable: true, allowHalfOpen: true, onread });
    // The server counts its connections by this, and waits for them when it closes.
    [socket.server, socket._server] = [given.server, given._server];
    given._server = null;
    this.#socket = socket;
    for (const [event, act] of Object.entries(this.#events)) socket.on(event, act);
    socket.resume();
    shared.opened(socket);
  }

  /** @param {Uint8Array} memory `#where` it was as this read began */
  #read(count, memory) {
    const { memory: common } = this.#shared;
    if (memory !== common) {
      this.#exchange?.filled(count);
      this.#missing -= count;
      if (this.#missing === 0) this.#whole();
    } else if (this.#phase === 'handed') {
      this.#socket.emit('data', Buffer.from(memory.subarray(0, count)));
      return true;
    } else this.#take(memory.subarray(0, count));
    const wanted = this.#phase === 'body' && this.#missing >= direct ? this.#exchange.room() : undefined;
    this.#where = wanted ?? common;
    // Who sends the next request before the answer waits for it in the socket.
    return this.#phase !== 'busy' || this.#rest.length === 0;
  }

  /** @param {Buffer} bytes in shared memory, or kept */
  #take(bytes) {
    let at = 0;
    while (at < bytes.length && this.#phase !== 'handed') {
      if (this.#phase === 'busy') {
        this.#rest.push(Buffer.from(bytes.subarray(at)));
        return;
      }
      at = this.#phase === 'body' ? this.#takeBody(bytes, at) : this.#takeHead(bytes, at);
    }
  }

  #takeHead(bytes, from) {
    if (this.#idle) {
      this.#idle = false;
      this.#since = performance.now();
    }
    const known =
      this.#rest.length === 0 ? bytes.subarray(from) : Buffer.concat([...this.#rest.splice(0), bytes.subarray(from)]);
    const end = known.indexOf(endOfHead, 0, 'latin1');
    if (end < 0 && known.length <= maxHead && known.toString('latin1', 0, 5) === 'POST '.slice(0, known.length)) {
      this.#rest.push(Buffer.from(known));
      return bytes.length;
    }
    const head = end < 0 || end > maxHead ? undefined : this.#headOf(known.toString('latin1', 0, end));
    const { config, state } = this.#shared.services;
    const asked =
      head && state.ready && !state.draining ? plainInference(head.url, head.headers, config.bodyLimit) : undefined;
    if (asked === undefined) {
      this.#handOver(known);
      return bytes.length;
    }
    this.#begin(head, asked);
    // Where the body begins in `bytes`: what was kept before had no end of a head in it.
    return bytes.length - (known.length - end - endOfHead.length);
  }

  /** Clients say the same again and again. */
  #headOf(text) {
    if (text !== this.#lastText) [this.#lastText, this.#lastHead] = [text, plainHead(text)];
    return this.#lastHead;
  }

  #begin({ url, headers }, asked) {
    this.#phase = 'body';
    this.#answered = false;
    this.#missing = asked.length;
    const send = (status, fields, bytes) => this.#send(status, fields, bytes);
    const wire = { url, headers, socket: this.#socket, memory: this.#memory, send };
    this.#exchange = new Exchange(this.#shared.services, wire, asked);
    this.#exchange.begin();
    if (this.#missing === 0) this.#whole();
  }

  #takeBody(bytes, from) {
    const to = Math.min(bytes.length, from + this.#missing);
    this.#exchange.add(bytes.subarray(from, to));
    this.#missing -= to - from;
    if (this.#missing === 0) this.#whole();
    return to;
  }

  #whole() {
    const refused = this.#answered;
    this.#phase = 'busy';
    this.#asked = performance.now();
    if (refused) this.#next();
    else void this.#exchange.answer();
  }

  /** @returns whether it went out */
  #send(status, fields, bytes) {
    const socket = this.#socket;
    if (!socket.writable) return false;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
    const { keepAliveTimeout } = this.#shared.server;
    const stays = this.#shared.services.state.draining
      ? ''
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeout / 1000)}\r\n`;
    head += `Date: ${dateNow()}\r\n${stays}\r\n`;
    if (bytes.length <= joinedBytes) socket.write(head + bytes.toString('latin1'), 'latin1');
    else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(bytes);
      socket.uncork();
    }
    this.#answered = true;
    if (this.#phase === 'busy') this.#next();
    return true;
  }

  /** The answer is out and the body is in: whatever comes next. */
  #next() {
    this.#exchange.closed();
    this.#exchange = undefined;
    const socket = this.#socket;
    if (this.#last || this.#shared.services.state.draining) return void socket.end();
    if (socket.writableNeedDrain) return void socket.once('drain', () => this.#ready());
    this.#ready();
  }

  #ready() {
    this.#phase = 'head';
    this.#idle = true;
    this.#since = performance.now();
    if (this.#rest.length === 0) return;
    const bytes = Buffer.concat(this.#rest.splice(0));
    // Not from within: each answer may be followed by the next.
    setImmediate(() => {
      if (this.#socket.destroyed) return;
      this.#take(bytes);
      if (this.#phase !== 'busy' || this.#rest.length === 0) this.#socket.resume();
    });
  }

  /** To node:http, with what it has not seen. */
  #handOver(bytes) {
    const { http, server, open } = this.#shared;
    const socket = this.#socket;
    this.#phase = 'handed';
    open.delete(this);
    for (const [event, act] of Object.entries(this.#events)) socket.removeListener(event, act);
    http.call(server, socket);
    socket.emit('data', Buffer.from(bytes));
  }

  /** The client has gone, as node:http takes it, but where it ends its half with its request. */
  #end() {
    const waits = this.#exchange !== undefined && performance.now() - this.#asked < saidAllMs;
    if (this.#phase === 'busy' && waits) this.#last = true;
    else if (this.#phase === 'busy' || (this.#phase === 'head' && this.#rest.length === 0)) this.#socket.end();
    else this.#shared.refuse({ code: 'HPE_INVALID_EOF_STATE' }, this.#socket);
  }

  #close() {
    this.#shared.open.delete(this);
    this.#exchange?.closed();
    this.#exchange = undefined;
  }

  /** Slow requests, and clients that only hold the line, end as they do in node:http. */
  tick(now) {
    const { server, refuse } = this.#shared;
    if (this.#phase === 'busy') return;
    const waited = now - this.#since;
    if (this.#idle) {
      if (waited > server.keepAliveTimeout) this.#socket.destroy();
    } else if (waited > server.requestTimeout) {
      refuse({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, this.#socket);
      this.#socket.destroySoon();
    }
  }

  endWhenIdle() {
    if (this.#phase === 'head' && this.#idle) this.#socket.end();
  }
}

let date = { second: 0, text: '' };

function dateNow() {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== date.second) date = { second, text: new Date(now).toUTCString() };
  return date.text;
}
