/**
 * What a Kafka broker has at its door and librdkafka's mock cluster has not: TLS (with a certificate of the client, where asked) and SASL.
 * Frames of those who got in go on to the mock broker as they are; in its answers the gate's port stands for the broker's own, so that nobody
 * is sent past the gate. Messages by Kafka's protocol guide (SaslHandshake v0-1, SaslAuthenticate v0-1, ApiVersions), SCRAM by RFC 5802,
 * OAUTHBEARER by RFC 7628.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { createServer, type Server } from 'node:tls';

interface Gate {
  /** PEM: the gate's own, and the authority of its clients. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
  readonly user: string;
  readonly password: string;
}

const [saslHandshake, apiVersions, saslAuthenticate] = [17, 18, 36];
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'];

const int = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeIntBE(value, 0, bytes);
  return buffer;
};
const string = (text: string): Buffer => Buffer.concat([int(Buffer.byteLength(text), 2), Buffer.from(text)]);
const framed = (...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([int(body.length, 4), body]);
};

/** Calls back with each whole frame, without its length. */
function onFrames(socket: Socket, each: (frame: Buffer) => void): void {
  let waiting = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readInt32BE(0)) {
      const end = 4 + waiting.readInt32BE(0);
      each(waiting.subarray(4, end));
      waiting = waiting.subarray(end);
    }
  });
}

/** What the server says next, and whether the client has shown that it knows the password. */
interface Said {
  readonly bytes: Buffer;
  readonly done: boolean;
}
type Step = (from: Buffer) => Said | undefined;

function plain({ user, password }: Gate): Step {
  const expected = Buffer.from(`\0${user}\0${password}`);
  return (from) =>
    from.length === expected.length && timingSafeEqual(from, expected)
      ? { bytes: Buffer.alloc(0), done: true }
      : undefined;
}

/** RFC 7628; the token is `token-of-<user>`. */
function oauth({ user }: Gate): Step {
  return (from) => {
    const [, token] = /^n,[^,]*,\x01auth=Bearer ([^\x01]+)\x01\x01$/.exec(from.toString('utf8')) ?? [];
    return token === `token-of-${user}` ? { bytes: Buffer.alloc(0), done: true } : undefined;
  };
}

function scram({ user, password }: Gate, hash: 'sha256' | 'sha512'): Step {
  const [salt, rounds] = [randomBytes(16), 4096];
  const salted = pbkdf2Sync(password, salt, rounds, createHash(hash).digest().length, hash);
  const hmac = (secret: Buffer, text: string): Buffer => createHmac(hash, secret).update(text).digest();
  const field = (text: string, name: string): string =>
    text
      .split(',')
      .find((part) => part.startsWith(`${name}=`))
      ?.slice(2) ?? '';
  let first: { client: string; server: string } | undefined;
  return (from) => {
    const text = from.toString('utf8');
    if (first === undefined) {
      const client = text.replace(/^n,,/, '');
      if (field(client, 'n') !== user) return undefined;
      const nonce = field(client, 'r') + randomBytes(12).toString('hex');
      first = { client, server: `r=${nonce},s=${salt.toString('base64')},i=${rounds}` };
      return { bytes: Buffer.from(first.server), done: false };
    }
    const without = text.replace(/,p=.*$/, '');
    const said = `${first.client},${first.server},${without}`;
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash(hash).update(clientKey).digest(), said);
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)));
    // As Kafka looks at it: librdkafka before 2.6 sends its own part of the nonce twice.
    const nonce = field(without, 'r').endsWith(field(first.server, 'r'));
    if (!nonce || field(text, 'p') !== proof.toString('base64')) return undefined;
    return { bytes: Buffer.from(`v=${hmac(hmac(salted, 'Server Key'), said).toString('base64')}`), done: true };
  };
}

/** Adds both SASL requests to what the mock broker says it knows (entries of three int16; flexible from version 3 on). */
function withSasl(answer: Buffer, version: number): Buffer {
  if (answer.readInt16BE(4) !== 0) return answer;
  const flexible = version >= 3;
  const tail = flexible ? Buffer.alloc(1) : Buffer.alloc(0);
  const more = Buffer.concat(
    [saslHandshake, saslAuthenticate].map((one) => Buffer.concat([int(one, 2), int(0, 2), int(1, 2), tail])),
  );
  if (!flexible) {
    const count = answer.readInt32BE(6);
    return Buffer.concat([answer.subarray(0, 6), int(count + 2, 4), more, answer.subarray(10)]);
  }
  // A compact array's length is one more than its entries, a varint of one byte here.
  const count = answer.readUInt8(6);
  if (count > 125) throw new Error('more requests than the gate can count');
  return Buffer.concat([answer.subarray(0, 6), int(count + 2, 1), more, answer.subarray(7)]);
}

/** Listens on `port` for clients of the mock broker on `brokerPort`. */
export async function openGate(port: number, brokerPort: number, gate: Gate): Promise<Server> {
  const options = { cert: gate.cert, key: gate.key, ca: gate.clientCa, requestCert: true };
  const address = (at: number): Buffer => Buffer.concat([Buffer.from('127.0.0.1'), int(at, 4)]);
  const server = createServer(options, (client) => {
    const broker = connect(brokerPort, '127.0.0.1');
    const close = (): void => void (client.destroy(), broker.destroy());
    for (const socket of [client, broker]) socket.on('error', close).on('close', close);
    /** Versions of ApiVersions that the broker has not answered; other answers go through. */
    const asked: { correlation: number; version: number }[] = [];
    let [step, inside]: [Step | undefined, boolean] = [undefined, false];
    onFrames(client, (frame) => {
      const [api, version, correlation] = [frame.readInt16BE(0), frame.readInt16BE(2), frame.readInt32BE(4)];
      const body = frame.subarray(10 + Math.max(0, frame.readInt16BE(8)));
      if (api === saslHandshake) {
        const mechanism = body.toString('utf8', 2, 2 + body.readInt16BE(0));
        if (mechanism === 'PLAIN') step = plain(gate);
        if (mechanism === 'OAUTHBEARER') step = oauth(gate);
        if (mechanism.startsWith('SCRAM')) step = scram(gate, mechanism.endsWith('256') ? 'sha256' : 'sha512');
        const list = [int(mechanisms.length, 4), ...mechanisms.map(string)];
        client.write(framed(int(correlation, 4), int(step === undefined ? 33 : 0, 2), ...list));
      } else if (api === saslAuthenticate) {
        const said = step?.(body.subarray(4, 4 + body.readInt32BE(0)));
        inside = said?.done ?? false;
        const error = said === undefined ? [int(58, 2), string('Authentication failed')] : [int(0, 2), int(-1, 2)];
        const bytes = said?.bytes ?? Buffer.alloc(0);
        const lifetime = version >= 1 ? Buffer.alloc(8) : Buffer.alloc(0);
        client.write(framed(int(correlation, 4), ...error, int(bytes.length, 4), bytes, lifetime));
      } else if (api === apiVersions || inside) {
        if (api === apiVersions) asked.push({ correlation, version });
        broker.write(framed(frame));
      } else close();
    });
    onFrames(broker, (frame) => {
      const known = asked.findIndex(({ correlation }) => correlation === frame.readInt32BE(0));
      const [entry] = known < 0 ? [] : asked.splice(known, 1);
      const answer = entry === undefined ? Buffer.from(frame) : withSasl(frame, entry.version);
      for (let at = answer.indexOf(address(brokerPort)); at >= 0; at = answer.indexOf(address(brokerPort), at + 1)) {
        address(port).copy(answer, at);
      }
      client.write(framed(answer));
    });
  });
  // A client that turns away in the middle of the handshake is a case of the tests, not an error of theirs.
  server.on('tlsClientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
