/**
 * The way of most requests: inference of the plain kind (exchange.mjs) goes from node:http straight to the model. Whatever is
 * different (another route, chunked or compressed bodies, a server that drains, traces) takes the way through Fastify, and
 * looks the same to the client.
 */

import { Exchange, plainInference } from './exchange.mjs';

/**
 * @param services as Exchange has them
 * @returns (request, response) → whether it was taken
 */
export function directInference(services) {
  const { config, state, discarded } = services;
  return (request, response) => {
    if (request.method !== 'POST' || !state.ready || state.draining) return false;
    const asked = plainInference(request.url, request.headers, config.bodyLimit);
    if (asked === undefined) return false;
    const exchange = new Exchange(services, wireOf(request, response), asked);
    response.on('close', () => exchange.closed());
    request.on('data', (chunk) => {
      exchange.add(chunk);
      discarded(chunk.length);
    });
    request.on('end', () => void exchange.answer());
    exchange.begin();
    return true;
  };
}

function wireOf({ url, headers, socket }, response) {
  return {
    url,
    headers,
    socket,
    send(status, fields, bytes) {
      // Writing to a client that has gone would be an error without anyone to catch it.
      if (response.destroyed) return false;
      response.writeHead(status, fields).end(bytes);
      return true;
    },
  };
}
