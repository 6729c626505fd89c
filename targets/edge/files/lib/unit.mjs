/** A hardened systemd unit. */

/**
 * What the service may hold: twice its peak over the recorded inputs, and 64 MiB, in steps of 16 MiB. Its group also counts the page cache of the
 * model, which can be given back, and a request's body is held as it came and as numbers. Measured, self-test and serving eight clients in MiB: MobileNet
 * 103 and 202 (bodies of 1.5 MB, limit 272), BERT 115 and 116 (304), ResNet-20 85 and 95 (240).
 */
export function memoryMax(peakBytes) {
  const step = 16 * 2 ** 20;
  return Math.ceil((2 * peakBytes + 64 * 2 ** 20) / step) * step;
}

/** Text in a line of a unit: spaces and quotes stay, percent signs are no specifiers. */
export function quoted(text) {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}

/** What no model needs. V8 writes code at run time, so MemoryDenyWriteExecute cannot be set. */
export const hardening = `TasksMax=64
OOMPolicy=stop
DynamicUser=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# The runtime asks for thread affinity and goes on without it.
SystemCallErrorNumber=EPERM
UMask=0077
`;

/** @param {{ name: string, dir: string, node: string, peakBytes: number }} what */
export function systemdUnit({ name, dir, node, peakBytes }) {
  return `[Unit]
Description=Model ${name.replaceAll('%', '%%')}
After=network.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart=${quoted(node)} ${quoted(`${dir}/run.mjs`)} serve
WorkingDirectory=${dir.replaceAll('%', '%%')}
Environment=HOST=127.0.0.1 PORT=8080 NODE_ENV=production
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
# Peak over the recorded inputs on this device: ${Math.ceil(peakBytes / 2 ** 20)} MiB.
MemoryMax=${memoryMax(peakBytes)}
MemorySwapMax=0
${hardening}
[Install]
WantedBy=multi-user.target
`;
}
