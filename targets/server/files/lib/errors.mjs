/** A request that cannot be served as it is. `status` is the HTTP status, `message` goes to the client. */
export class RequestError extends Error {
  constructor(message, status = 400) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
  }
}
