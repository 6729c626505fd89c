import type { IoInfo } from '../../src/report/report.ts';
import type { Artifact } from '../../src/target/target.ts';
import { kubernetesName } from '../server/deploy.ts';
import { logins, type Place } from './place.ts';

const sasl = logins.filter((login) => login !== 'none' && login !== 'password');

const listed = (values: readonly IoInfo[]): string =>
  values
    .map(({ name, dtype, shape }) => `\`${name}\` (${dtype}, [${shape?.map((dim) => dim ?? '?').join(', ') ?? 'any'}])`)
    .join(', ');

/** Host and, where it is not the usual one, port of a broker as Mosquitto's programs take them. */
function mosquittoPlace(hosts: string): string {
  const [, host = hosts, port] = /^(.*?)(?::(\d+))?$/.exec(hosts.split(',')[0] ?? '') ?? [];
  return port === undefined ? `-h ${host}` : `-h ${host} -p ${port}`;
}

/** What must be there on the broker before the worker starts, and how to try it by hand. */
function firstSteps({ broker, kind, hosts, in: from, out, dead }: Place): string {
  switch (kind) {
    case 'kafka':
      return `kafka-topics.sh --bootstrap-server ${hosts} --create --topic ${from} --partitions 12      # and ${out}, ${dead}
kcat -b ${hosts} -P -t ${from} -l row.jsonl && kcat -b ${hosts} -C -t ${out} -o beginning -c 1`;
    case 'nats':
      return `nats stream add ${from.replaceAll('.', '-')} --subjects ${from},${out},${dead} --storage file --defaults   # JetStream: nats-server -js
nats pub ${from} --force-stdin < row.jsonl && nats sub ${out} --all --count 1`;
    case 'redis':
      return `redis-cli -u ${broker} -x XADD ${from} '*' value < row.jsonl
redis-cli -u ${broker} XRANGE ${out} - +`;
    default:
      return `mosquitto_sub ${mosquittoPlace(hosts)} -q 1 -t ${out} -C 1 &
mosquitto_pub ${mosquittoPlace(hosts)} -q 1 -t ${from} -f row.jsonl`;
  }
}

export function readme(artifact: Artifact, place: Place): string {
  const { name, inputs, outputs } = artifact;
  return `# ${name}: predictions for a stream

\`\`\`sh
npm ci --omit=dev
node run-stream.mjs                                             # ${place.broker}: ${place.in} → ${place.out}, ${place.dead}; all in stream.json
node run-stream.mjs - < row.jsonl                               # JSON Lines in, JSON Lines out, without a broker
\`\`\`

\`\`\`sh
${firstSteps(place)}
\`\`\`

Inputs: ${listed(inputs)}. Outputs: ${listed(outputs)}.

A record is one row as a JSON object: the column named like an input feeds it, a number or a list with the elements of the row, nested or flat. An object that has
exactly as many columns as the one input has elements needs no names. The answer is an object with the outputs, under the key of the record, with
its headers and \`mlpack-source\` (where the record stood) and \`mlpack-model\` (name and digest). What cannot be used goes to \`${place.dead}\` as it came, with \`mlpack-error\`; and so does a record whose answer is larger than the broker takes.

**At least once.** A record is committed after its answer has been taken by the broker. A worker that is killed in between answers it again when it, or another, comes up; \`mlpack-source\` is the
same then${place.kind === 'nats' ? ', and JetStream drops the second within its duplicate window' : ''}${place.kind === 'mqtt' ? ' for one run of a worker only, since MQTT numbers no messages' : ''}. SIGTERM: the batch in hand is finished and committed, then it ends.

| flag, variable | default | |
|---|---|---|
| \`--broker\`, \`STREAM_BROKER\` | ${place.broker} | \`kafka://\`, \`nats://\`, \`mqtt://\`, \`redis://\`; with an s at the end of the scheme through TLS |
| \`--in\`, \`--out\`, \`--dead\`, \`--group\` | stream.json | topics, subjects or streams; the group of workers that share them |
| \`--columns\` | by name | \`input=column,column\`; once for each input (\`STREAM_COLUMNS\`: separated by ;) |
| \`--keep\` | | columns that go over to the answer, such as an id |
| \`--from\` | earliest | where a new group begins: earliest or latest |
| \`--batch\` | measured at start | rows in one run |
| \`--wait-ms\` | 5 | what a record waits at most for others to run with |
| \`--ack-ms\` | 45000 | after how long what a dead worker had goes to another (Kafka: session timeout; NATS, Redis) |
| \`--name\` | host name | this worker, in the group (Redis) and as session (MQTT) |
| \`--tries\` | 10 | failures of the broker in a row before the worker ends with 1, nothing committed |
| \`--port\`, \`--host\` | 9090, 127.0.0.1 | \`/metrics\`, \`/health/live\`, \`/health/ready\`; 0: none |
| \`STREAM_USERNAME\`, \`STREAM_PASSWORD\` | | also \`…_FILE\`, the name of a file that holds it${place.kind === 'kafka' ? `; then Kafka is asked by SASL, \`STREAM_SASL_MECHANISM\`: ${place.login === 'none' ? 'plain (default)' : `${place.login} (this bundle's)`}, ${sasl.filter((one) => one !== place.login && (one !== 'plain' || place.login !== 'none')).join(', ')}; or oauthbearer, whose token \`STREAM_TOKEN_FILE\` names, a file that is read at each login` : ''} |
| \`STREAM_CA\`, \`STREAM_CERT\`, \`STREAM_KEY\` | | with TLS: PEM of the authority that is trusted instead of those that Node knows; certificate and key of this worker, where the broker asks for them. Also \`…_FILE\` |

Metrics: \`mlpack_stream_records_total{outcome}\`, \`mlpack_stream_lag\`, \`mlpack_stream_waiting\`, \`mlpack_stream_batch_records\`, \`mlpack_stream_batch_seconds\`, \`mlpack_stream_retries_total{what}\`.

${
  place.kind === 'kafka'
    ? `Kafka goes through kafkajs, which is plain JavaScript and installs everywhere. Confluent's own client (librdkafka) is taken instead where it is installed:
\`npm install @confluentinc/kafka-javascript\` (fetches a binary for the platform).

`
    : ''
}**Kubernetes.** \`docker build -t ${place.image}:1 .\`, push${place.tls || place.login !== 'none' ? `, \`kubectl create secret generic ${kubernetesName(name)}-stream --from-file=username --from-file=password\` (and \`--from-file=ca=ca.pem\`, \`cert\`, \`key\` where they are needed)` : ''}, \`kubectl apply -k deploy/kubernetes\`: a Deployment that KEDA scales${place.kind === 'mqtt' ? ' by CPU (MQTT has no lag)' : ' by lag, down to none'}, and a PodMonitor.

\`npx mlpack check .\` starts the worker on JSON Lines and replays the recorded cases.
`;
}
