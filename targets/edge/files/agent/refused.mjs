/** An update that is not taken, with a sentence for the log. `code` says of what kind. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'Refused';
    this.code = code;
  }
}
