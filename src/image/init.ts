import { posix } from "node:path";
import { PAYLOAD, STATE, STATE_DIRECTORY } from "./first-boot.ts";
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
  /** The directory of the runner and its stamp. Default {@link STATE_DIRECTORY}. */
  readonly directory?: string;
}

/** The file of the service, by init system. */
const SERVICE_FILES: Readonly<Record<InitSystem, string>> = {
  systemd: `/etc/systemd/system/${SERVICE}.service`,
  OpenRC: `/etc/init.d/${SERVICE}`,
  sysvinit: `/etc/init.d/${SERVICE}`,
};

/** The line of a service's file that starts the runner. */
const STARTED = new RegExp(` (${STATE_DIRECTORY}(?:/[\\w.-]+)?)/${PAYLOAD.runner.replace(".", "\\.")}\\b`);

/** Return the directory of the runner that the service of a root starts; undefined for a root without the service. */
export function findRunner(root: ImageRoot, init = findInit(root)): string | undefined {
  const service = init === undefined ? undefined : root.read(SERVICE_FILES[init]);
  return service === undefined ? undefined : STARTED.exec(service)?.[1];
}

/**
 * Install the service that starts the runner at each boot until it has succeeded, and enable it by links. The rename of the
 * service's file is the moment at which another runner takes the place of the one before.
 */
export async function installService(
  root: ImageRoot,
  init: InitSystem,
  options: ServiceOptions,
): Promise<void> {
  switch (init) {
    case "systemd": {
      const unit = SERVICE_FILES[init];
      await root.write(unit, systemdUnit(options), 0o644);
      return root.link(`/etc/systemd/system/multi-user.target.wants/${SERVICE}.service`, unit);
    }
    case "OpenRC": {
      const script = SERVICE_FILES[init];
      await root.write(script, openrcScript(options), 0o755);
      return root.link(`/etc/runlevels/default/${SERVICE}`, script);
    }
    case "sysvinit": {
      await root.write(SERVICE_FILES[init], sysvinitScript(options), 0o755);
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
export function systemdUnit({ host, waitsForNetwork, directory = STATE_DIRECTORY }: ServiceOptions): string {
  return `[Unit]
Description=Provision this machine as ${host.replaceAll("%", "%%")} (Volley)
# A stamp, and not ConditionFirstBoot: that holds only where /etc/machine-id is empty, and not after a boot that failed.
ConditionPathExists=!${directory}/${STATE.done}
${waitsForNetwork ? "Wants=network-online.target\nAfter=network-online.target\n" : ""}
[Service]
Type=oneshot
ExecStart=/bin/sh ${directory}/${PAYLOAD.runner}
TimeoutStartSec=infinity
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`;
}

/** Run the runner with its output on the console and in a file. The stamp tells how it ended: a pipe has tee's exit code. */
const start = (
  directory: string,
): string => `(umask 077; sh ${directory}/${PAYLOAD.runner} 2>&1 | tee -a ${LOG_FILE})
  [ -e ${directory}/${STATE.done} ]`;

/** The service script for OpenRC, whose services have other names in each distribution: none of them is required. */
export function openrcScript({ waitsForNetwork, directory = STATE_DIRECTORY }: ServiceOptions): string {
  return `#!/sbin/openrc-run
description="Provision this machine at its first boot (Volley)"

depend() {
  after localmount mountall bootmisc clock hostname
${waitsForNetwork ? "  use net dns\n  after net\n" : ""}}

start() {
  [ ! -e ${directory}/${STATE.done} ] || return 0
  ebegin "Provisioning this machine"
  ${start(directory)}
  eend $?
}
`;
}

/** The script for sysvinit. */
export function sysvinitScript({ waitsForNetwork, directory = STATE_DIRECTORY }: ServiceOptions): string {
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
  [ ! -e ${directory}/${STATE.done} ] || return 0
  ${start(directory)}
}

case $1 in
start | restart | force-reload) start;;
stop) ;;
status) [ -e ${directory}/${STATE.done} ];;
*) echo "usage: $0 {start|stop|status}" >&2; exit 2;;
esac
`;
}
