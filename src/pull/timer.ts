import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { commandLine } from "../core/unix/shell.ts";
import { writeReason } from "../core/unix/user-file.ts";
import { makeDirectories } from "../system/directories.ts";

// The timer that pulls again and again: units of systemd, or a file for cron where there is none.

const NAME = "volley-pull";
const UNITS = "etc/systemd/system";
const CRON = "etc/cron.d";
/** The timer may come later by this share of its interval, so that a fleet does not come all at once. */
const RANDOM_SHARE = 1 / 3;

/** A timer to install. */
export interface Timer {
  /** Minutes between two pulls. */
  readonly minutes: number;
  /** The command, its program by an absolute path. */
  readonly command: readonly string[];
  /** The source, for people. */
  readonly source: string;
  /** Variables of the command's environment, besides `HOME`. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Variables that lead a pull to its server, of which the values are paths. */
const PATH_VARIABLES = ["NODE_EXTRA_CA_CERTS", "NETRC"];
const PROXY_VARIABLES = [
  ...["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"],
  ...["no_proxy", "NO_PROXY"],
];

/**
 * Return the variables of an environment that lead a pull to its server: a timer starts without them. Fails with `USAGE`
 * for a proxy with a password, which every user could read in the timer.
 */
export function timerEnvironment(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const given = (names: readonly string[]): readonly [string, string][] =>
    names.flatMap((name) => {
      const value = env[name] ?? "";
      return value === "" ? [] : [[name, value] as const];
    }) as [string, string][];
  for (const [name, value] of [...given(PATH_VARIABLES), ...given(PROXY_VARIABLES)]) {
    if (PROXY_VARIABLES.includes(name) && value.includes("@"))
      throw new VolleyError("USAGE", `every user could read the login of ${name} in the timer`, {
        hint: `unset ${name}, and give it to the service by a file: systemctl edit volley-pull, EnvironmentFile=`,
      });
    if (/\p{Cc}/u.test(value)) throw new VolleyError("USAGE", `${name} has a control character`);
  }
  return Object.fromEntries([
    ...given(PATH_VARIABLES).map(([name, value]) => [name, resolve(value)]),
    ...given(PROXY_VARIABLES),
  ]);
}

/** The way to this machine, or to a root directory for tests: there nothing is started. */
export interface TimerPlace {
  /** Default `/`. */
  readonly root?: string;
  /** Default: whether systemd runs this machine. */
  readonly hasSystemd?: boolean;
  /** A number from 0 to 1 that decides at which minute cron starts. Default: random. */
  readonly random?: number;
}

/**
 * Install the timer, in place of one that is there, and start it. Returns a line for people. Fails with `USAGE` where
 * neither systemd nor cron can do it, and with `PULL_FAILED`.
 */
export function installTimer(
  timer: Timer,
  { root = "/", hasSystemd = runsSystemd(root), random = Math.random() }: TimerPlace = {},
): string {
  const { minutes, command, source } = timer;
  const delay = Math.ceil(minutes * RANDOM_SHARE);
  const every = `every ${intervalText(minutes)}`;
  if (hasSystemd) {
    write(join(root, UNITS), `${NAME}.service`, serviceText(timer));
    write(join(root, UNITS), `${NAME}.timer`, timerText(minutes, delay, source));
    rmSync(join(root, CRON, NAME), { force: true });
    if (root === "/") {
      systemctl("daemon-reload");
      systemctl("enable", `${NAME}.timer`);
      // A timer that runs already takes its new times only so.
      systemctl("restart", `${NAME}.timer`);
    }
    return `${NAME}.timer: ${every} and up to ${intervalText(delay)} later; see it with journalctl -u ${NAME}, start it now with systemctl start ${NAME}`;
  }
  if (!existsSync(join(root, CRON)))
    throw new VolleyError("USAGE", "this machine has neither systemd nor /etc/cron.d", {
      hint: `let the machine's own timer run: ${commandLine(command)}`,
    });
  write(join(root, CRON), NAME, cronText(timer, random));
  return `/etc/cron.d/${NAME}: ${every}; its lines go to the system's log as ${NAME}`;
}

/** Remove the timer. Returns a line for people. */
export function removeTimer({ root = "/" }: Pick<TimerPlace, "root"> = {}): string {
  const files = [
    ...["timer", "service"].map((kind) => join(root, UNITS, `${NAME}.${kind}`)),
    join(root, CRON, NAME),
  ].filter((file) => existsSync(file));
  if (files.length === 0) return "there is no timer";
  const hasUnits = files.some((file) => file.endsWith(".timer"));
  if (root === "/" && hasUnits && runsSystemd(root)) systemctl("disable", "--now", `${NAME}.timer`);
  try {
    for (const file of files) rmSync(file, { force: true });
  } catch (cause) {
    throw new VolleyError("PULL_FAILED", `cannot remove the timer: ${writeReason(cause)}`, { cause });
  }
  if (root === "/" && hasUnits && runsSystemd(root)) systemctl("daemon-reload");
  return `removed ${files.join(", ")}`;
}

function runsSystemd(root: string): boolean {
  return existsSync(join(root, "run/systemd/system"));
}

function serviceText({ command: [program = "", ...words], source, environment = {} }: Timer): string {
  const variables = Object.entries({ HOME: "/root", ...environment });
  return `# Written by volley pull --install-timer.
[Unit]
Description=Provision this machine (${unitText(source)})
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
${variables.map(([name, value]) => `Environment=${quotedWord(`${name}=${value}`)}`).join("\n")}
ExecStart=${[quotedWord(program), ...words.map(unitWord)].join(" ")}
# Volley ends by itself after the action now running.
KillMode=mixed
TimeoutStopSec=5min
TimeoutStartSec=1d
`;
}

function timerText(minutes: number, delay: number, source: string): string {
  return `# Written by volley pull --install-timer.
[Unit]
Description=Provision this machine from ${unitText(source)}, every ${intervalText(minutes)}

[Timer]
OnActiveSec=1min
OnUnitInactiveSec=${minutes}min
RandomizedDelaySec=${delay}min
AccuracySec=1s

[Install]
WantedBy=timers.target
`;
}

/** In units `%` begins a specifier. */
function unitText(text: string): string {
  return text.replaceAll("%", "%%");
}

/** Variables are put into the words behind the program. */
function unitWord(word: string): string {
  return quotedWord(word.replaceAll("$", "$$$$"));
}

function quotedWord(word: string): string {
  const escaped = unitText(word).replace(/["\\]/g, "\\$&");
  return /^[\w./:@%+=,-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

function cronText({ minutes, command, source, environment = {} }: Timer, random: number): string {
  const variables = Object.entries(environment).map(
    ([name, value]) => `${name}=${cronQuoted(name, value)}\n`,
  );
  // In cron's lines `%` is a line end.
  const line = `${commandLine(command)} 2>&1 | logger -t ${NAME}`.replaceAll("%", "\\%");
  return `# Written by volley pull --install-timer: provision this machine from ${source}.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
${variables.join("")}${cronTimes(minutes, random)} root ${line}
`;
}

/** Quote a variable's value: cron has no escapes. Fails with `USAGE`. */
function cronQuoted(name: string, value: string): string {
  const mark = ['"', "'"].find((each) => !value.includes(each));
  if (mark !== undefined) return `${mark}${value}${mark}`;
  throw new VolleyError("USAGE", `cron cannot take ${name}, which has both kinds of quotes`);
}

/** Return the times of an interval as cron has them, from a minute on that is random. Fails with `USAGE`. */
function cronTimes(minutes: number, random: number): string {
  const list = (from: number, step: number, end: number): string =>
    Array.from({ length: Math.ceil((end - from) / step) }, (_, index) => from + index * step).join(",");
  const at = (below: number): number => Math.floor(random * below);
  if (minutes < 60 && 60 % minutes === 0) return `${list(at(minutes), minutes, 60)} * * * *`;
  const hours = minutes / 60;
  if (Number.isInteger(hours) && 24 % hours === 0)
    return `${at(60)} ${hours === 1 ? "*" : list(at(hours), hours, 24)} * * *`;
  throw new VolleyError("USAGE", `cron cannot start something every ${intervalText(minutes)}`, {
    hint: "take minutes that divide an hour, or hours that divide a day: 10m, 30m, 1h, 6h, 1d",
  });
}

function intervalText(minutes: number): string {
  if (minutes % (24 * 60) === 0) return `${minutes / (24 * 60)}d`;
  return minutes % 60 === 0 ? `${minutes / 60}h` : `${minutes}min`;
}

function write(directory: string, name: string, text: string): void {
  const path = join(directory, name);
  try {
    makeDirectories(directory);
    writeFileSync(path, text, { mode: 0o644 });
  } catch (cause) {
    throw new VolleyError("PULL_FAILED", `cannot write ${path}: ${writeReason(cause)}`, { cause });
  }
}

function systemctl(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync("systemctl", args, { encoding: "utf8" });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().split("\n")[0];
  throw new VolleyError("PULL_FAILED", `systemctl ${args.join(" ")} failed: ${why}`);
}
