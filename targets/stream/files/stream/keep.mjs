/** Signs of life for records that take longer than the broker waits for them: it would give them to somebody else meanwhile. */

/** Of the time that the broker waits: two of them may get lost. */
const share = 3;

/**
 * @param {number} waitsMs how long the broker waits @param {() => Promise<void>} tell says that what is held is being worked at
 * @param {(error: Error) => void} failed @returns {() => void} ends it
 */
export function keepAlive(waitsMs, tell, failed) {
  let busy = false;
  const timer = setInterval(async () => {
    if (busy) return;
    busy = true;
    try {
      await tell();
    } catch (error) {
      failed(error);
    } finally {
      busy = false;
    }
  }, waitsMs / share).unref();
  return () => clearInterval(timer);
}
