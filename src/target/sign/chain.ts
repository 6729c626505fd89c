import { X509Certificate } from 'node:crypto';
import { UserError } from '../../errors.ts';
import { pathLength } from './path-length.ts';

const codeSigning = '1.3.6.1.5.5.7.3.3';

/** Certificates in a PEM text. @throws UserError `certificate-file`. */
export function readCertificates(pem: string, shown: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const found = blocks.map((block) => new X509Certificate(block));
    if (found.length > 0) return found;
  } catch (cause) {
    throw new UserError('certificate-file', `${shown} holds a certificate that cannot be read.`, { cause });
  }
  throw new UserError('certificate-file', `${shown} holds no certificate in PEM form.`);
}

/**
 * Why the first certificate of a chain is not to be trusted for signing code, or undefined. Each must be within its dates
 * and issued by the next, which may stand so far above what is signed; the last is issued by, or is, one of `roots`. Revocation is not looked up.
 * @param now milliseconds since 1970
 */
export function chainProblem(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): string | undefined {
  const [leaf] = chain;
  if (!leaf) return 'the chain is empty';
  if (!(leaf.keyUsage ?? []).includes(codeSigning)) return 'the certificate is not for signing code';
  for (const [at, one] of chain.entries()) {
    const dates = dateProblem(one, now);
    if (dates !== undefined) return dates;
    const root = roots.find((root) => root.fingerprint256 === one.fingerprint256 || issued(root, one));
    if (root) return dateProblem(root, now) ?? (issued(root, one) ? lengthProblem(root, chain, at) : undefined);
    const issuer = chain[at + 1];
    if (!issuer) return `nobody that is trusted has issued the certificate of ${commonName(one)}`;
    if (!issuer.ca || !issued(issuer, one))
      return `the certificate of ${commonName(one)} was not issued by the next one`;
    const length = lengthProblem(issuer, chain, at);
    if (length !== undefined) return length;
  }
  return undefined;
}

function issued(issuer: X509Certificate, one: X509Certificate): boolean {
  return one.checkIssued(issuer) && one.verify(issuer.publicKey);
}

/** @param at of the certificate that `issuer` has issued */
function lengthProblem(issuer: X509Certificate, chain: readonly X509Certificate[], at: number): string | undefined {
  // Certificates that an authority gives itself (a new key under the same name) do not count.
  const between = chain.slice(1, at + 1).filter(({ subject, issuer: by }) => subject !== by).length;
  if (between <= pathLength(issuer)) return undefined;
  return `${commonName(issuer)} may not let ${commonName(chain[at] ?? issuer)} issue certificates in its place (path length ${pathLength(issuer)})`;
}

function dateProblem(one: X509Certificate, now: number): string | undefined {
  if (now < Date.parse(one.validFrom)) return `the certificate of ${commonName(one)} is not valid yet`;
  if (now > Date.parse(one.validTo)) return `the certificate of ${commonName(one)} has expired`;
  return undefined;
}

function commonName({ subject }: X509Certificate): string {
  return /^CN=(.+)$/m.exec(subject)?.[1] ?? subject;
}
