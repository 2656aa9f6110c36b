import { posix } from "node:path";
import { STATE, STATE_DIRECTORY } from "./first-boot.ts";
import type { ImageRoot } from "./root.ts";

// The init systems that start the runner: how each is recognised, and the files that it gets.

/** An init system that Volley knows. */
export type InitSystem = "systemd" | "OpenRC" | "sysvinit";

/** The name of the service, whatever the init system. */
export const SERVICE = "volley-first-boot";

/** Output of the service where no journal keeps it. */
export const LOG_FILE = `/var/log/${SERVICE}.log`;

const SYSTEMD = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/** Runlevels of sysvinit that are for several users. */
const RUNLEVELS = [2, 3, 4, 5];

/** Recognise the init system of a root; undefined for another one, or none. */
export function findInit(root: ImageRoot): InitSystem | undefined {
  const init = root.exists("/sbin/init") ? posix.basename(root.locate("/sbin/init")) : undefined;
  if (init === "systemd") return "systemd";
  if (root.exists("/sbin/openrc-run") && root.exists("/etc/runlevels/default")) return "OpenRC";
  if (
    root.exists("/etc/inittab") &&
    root.exists("/etc/init.d") &&
    RUNLEVELS.some((level) => root.exists(`/etc/rc${level}.d`))
  )
    return "sysvinit";
  // An image for containers may have systemd without the link that a kernel starts.
  return init === undefined && SYSTEMD.some(root.exists) ? "systemd" : undefined;
}

/** Traits of the service. */
export interface ServiceOptions {
  /** The host's name in the inventory. */
  readonly host: string;
  readonly waitsForNetwork: boolean;
}

/** Install the service that starts the runner at each boot until it has succeeded, and enable it by links. */
export async function installService(
  root: ImageRoot,
  init: InitSystem,
  options: ServiceOptions,
): Promise<void> {
  switch (init) {
    case "systemd": {
      const unit = `/etc/systemd/system/${SERVICE}.service`;
      await root.write(unit, systemdUnit(options), 0o644);
      return root.link(`/etc/systemd/system/multi-user.target.wants/${SERVICE}.service`, unit);
    }
    case "OpenRC": {
      const script = `/etc/init.d/${SERVICE}`;
      await root.write(script, openrcScript(options), 0o755);
      return root.link(`/etc/runlevels/default/${SERVICE}`, script);
    }
    case "sysvinit": {
      await root.write(`/etc/init.d/${SERVICE}`, sysvinitScript(options), 0o755);
      for (const level of RUNLEVELS.filter((each) => root.exists(`/etc/rc${each}.d`)))
        root.link(`/etc/rc${level}.d/S99${SERVICE}`, `../init.d/${SERVICE}`);
      await addToOrder(root);
    }
  }
}

/** The file in which Debian's insserv keeps the order of scripts. Where there is one, startpar starts those in it alone. */
const ORDER_FILE = "/etc/init.d/.depend.start";
/** Scripts of the runlevel for a single user. */
const SINGLE_USER = ["killprocs", "single"];

/** Put the service behind all others in the order of scripts. insserv does so by the script's header when it runs next. */
async function addToOrder(root: ImageRoot): Promise<void> {
  const text = root.read(ORDER_FILE) ?? "";
  const scripts = /^TARGETS = (.*)$/m.exec(text)?.[1]?.split(" ");
  if (scripts === undefined || scripts.includes(SERVICE)) return;
  const targets = text.replace(/^TARGETS = .*$/m, (line) => `${line} ${SERVICE}`).trimEnd();
  const others = scripts.filter((script) => !SINGLE_USER.includes(script));
  await root.write(ORDER_FILE, `${targets}\n${SERVICE}: ${others.join(" ")}\n`, 0o644);
}

/** The unit for systemd. */
export function systemdUnit({ host, waitsForNetwork }: ServiceOptions): string {
  return `[Unit]
Description=Provision this machine as ${host.replaceAll("%", "%%")} (Volley)
# A stamp, and not ConditionFirstBoot: that holds only where /etc/machine-id is empty, and not after a boot that failed.
ConditionPathExists=!${STATE_DIRECTORY}/${STATE.done}
${waitsForNetwork ? "Wants=network-online.target\nAfter=network-online.target\n" : ""}
[Service]
Type=oneshot
ExecStart=/bin/sh ${STATE_DIRECTORY}/run.sh
TimeoutStartSec=infinity
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`;
}

/** Run the runner with its output on the console and in a file. The stamp tells how it ended: a pipe has tee's exit code. */
const START = `(umask 077; sh ${STATE_DIRECTORY}/run.sh 2>&1 | tee -a ${LOG_FILE})
  [ -e ${STATE_DIRECTORY}/${STATE.done} ]`;

/** The service script for OpenRC, whose services have other names in each distribution: none of them is required. */
export function openrcScript({ waitsForNetwork }: ServiceOptions): string {
  return `#!/sbin/openrc-run
description="Provision this machine at its first boot (Volley)"

depend() {
  after localmount mountall bootmisc clock hostname
${waitsForNetwork ? "  use net dns\n  after net\n" : ""}}

start() {
  [ ! -e ${STATE_DIRECTORY}/${STATE.done} ] || return 0
  ebegin "Provisioning this machine"
  ${START}
  eend $?
}
`;
}

/** The script for sysvinit. */
export function sysvinitScript({ waitsForNetwork }: ServiceOptions): string {
  return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          ${SERVICE}
# Required-Start:    $remote_fs $syslog${waitsForNetwork ? " $network" : ""}
# Required-Stop:
# Default-Start:     ${RUNLEVELS.join(" ")}
# Default-Stop:
# Short-Description: Provision this machine at its first boot (Volley)
### END INIT INFO

start() {
  [ ! -e ${STATE_DIRECTORY}/${STATE.done} ] || return 0
  ${START}
}

case $1 in
start | restart | force-reload) start;;
stop) ;;
status) [ -e ${STATE_DIRECTORY}/${STATE.done} ];;
*) echo "usage: $0 {start|stop|status}" >&2; exit 2;;
esac
`;
}
