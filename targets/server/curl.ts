/** In commands to copy, for a server that the line before has started: it listens a moment later, and is ready after that. */
export const curlSoon = 'curl -fsS --retry 30 --retry-connrefused --retry-delay 1';
