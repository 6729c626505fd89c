/** A systemd unit for the agent: it owns one folder, and nothing else can be written. */

import { hardening, quoted } from '../lib/unit.mjs';

/** One path of a list: quoted where a space would make two of it. */
function listed(path) {
  const plain = path.replaceAll('%', '%%');
  return /[\s"'\\]/.test(plain) ? `"${plain.replace(/["\\]/g, '\\$&')}"` : plain;
}

/** @param {{ root: string, agent: string, node: string }} what folder of the device, this program, Node.js */
export function agentUnit({ root, agent, node }) {
  const name = root.split('/').filter(Boolean).at(-1);
  return `[Unit]
Description=Model of ${name.replaceAll('%', '%%')}, kept up to date
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart=${quoted(node)} ${quoted(agent)} run --root ${quoted(root)}
Environment=HOST=127.0.0.1 PORT=8080 INTERVAL_SECONDS=3600 NODE_ENV=production
Restart=always
RestartSec=2
TimeoutStopSec=30
${root.startsWith('/var/lib/') ? `StateDirectory=${listed(root.slice('/var/lib/'.length))}` : `ReadWritePaths=${listed(root)}`}
${hardening}
[Install]
WantedBy=multi-user.target
`;
}
