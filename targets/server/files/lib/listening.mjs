/** Why a port cannot be opened, in words for whoever set it. */

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
export function listenError(error, place) {
  if (!['listen', 'bind', 'getaddrinfo'].includes(error.syscall)) return error;
  return new ListenError(`cannot listen on ${place} (HOST, PORT): ${reasons[error.code] ?? error.code}`, {
    cause: error,
  });
}
