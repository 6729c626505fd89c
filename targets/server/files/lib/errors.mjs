/** A request that cannot be served as it is. `status` is the HTTP status, `message` goes to the client. */
export class RequestError extends Error {
  /**
   * @param {string} message one sentence for the client
   * @param {number} status HTTP status
   * @param {{ retryAfter?: number, reason?: string }} more seconds until a retry makes sense; Triton's reason of failure
   */
  constructor(message, status = 400, { retryAfter, reason } = {}) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.retryAfter = retryAfter;
    this.reason = reason ?? (status >= 500 ? 'BACKEND' : 'OTHER');
  }
}

/** A bundle that cannot be run as it is. `message` is one sentence for whoever deploys it. */
export class BundleError extends Error {
  name = 'BundleError';
}
