import { kubernetesName } from '../server/deploy.ts';

type BrokerKind = 'kafka' | 'nats' | 'mqtt' | 'redis';

/** Scheme of a broker's address → which broker. The worker has the same list (files/stream/settings.mjs). */
export const brokers: Readonly<Record<string, BrokerKind>> = {
  kafka: 'kafka',
  kafkas: 'kafka',
  nats: 'nats',
  natss: 'nats',
  mqtt: 'mqtt',
  mqtts: 'mqtt',
  redis: 'redis',
  rediss: 'redis',
};

/** How the worker says who it is, by broker; the worker has Kafka's list (files/stream/secrets.mjs). */
export const logins = ['none', 'password', 'plain', 'scram-sha-256', 'scram-sha-512'] as const;
export type Login = (typeof logins)[number];

/** Where records come from and go to. */
export interface Place {
  readonly broker: string;
  readonly kind: BrokerKind | undefined;
  /** `host:port` list behind the scheme. */
  readonly hosts: string;
  readonly tls: boolean;
  readonly login: Login;
  readonly in: string;
  readonly out: string;
  readonly dead: string;
  readonly group: string;
  readonly image: string;
}

/** The options with their defaults, which hang on the model's name. */
export function placeOf(
  model: string,
  options: Readonly<Record<'broker' | 'in' | 'out' | 'dead' | 'group' | 'image', string>> & { readonly login: Login },
): Place {
  const name = kubernetesName(model);
  const [, scheme = '', hosts = ''] = options.broker.match(/^([a-z]+):\/\/([\w.:,[\]-]+)$/) ?? [];
  return {
    broker: options.broker,
    kind: Object.hasOwn(brokers, scheme) ? brokers[scheme] : undefined,
    hosts,
    tls: /^(kafkas|natss|mqtts|rediss)$/.test(scheme),
    login: options.login,
    in: options.in || `${name}-in`,
    out: options.out || `${name}-out`,
    dead: options.dead || `${name}-dead`,
    group: options.group || name,
    image: options.image || `${name}-stream`,
  };
}

/** Sentences on what cannot be. Names go into YAML and commands, so they are plain. */
export function placeObjections(place: Place): string[] {
  const because: string[] = [];
  if (place.kind === undefined)
    because.push(
      `"${place.broker}" is not the address of a broker: ${Object.keys(brokers).join('://…, ')}://… with hosts and nothing else.`,
    );
  if (place.login !== 'none' && place.kind !== undefined && (place.login === 'password') === (place.kind === 'kafka'))
    because.push(
      place.kind === 'kafka'
        ? 'login=password is for NATS, MQTT and Redis; Kafka asks by SASL: plain, scram-sha-256 or scram-sha-512.'
        : `login=${place.login} is one of Kafka's; for ${place.kind} it is login=password.`,
    );
  for (const name of ['in', 'out', 'dead', 'group'] as const) {
    if (!/^[\w.][\w./-]*$/.test(place[name]))
      because.push(`${name} is "${place[name]}", and may have letters, digits, ".", "_", "-" and "/" only.`);
  }
  if (!/^[a-z0-9][\w./:@-]*$/i.test(place.image))
    because.push(`"${place.image}" is not the name of a container image.`);
  if (new Set([place.in, place.out, place.dead]).size < 3)
    because.push('in, out and dead must be three different ones: what goes out would come in again.');
  return because;
}
