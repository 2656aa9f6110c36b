import { resolve } from "node:path";
import { openTransports } from "../../controller/prepare/transports.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ColorDepth } from "../../fanout/shell/cells.ts";
import { DEFAULT_ESCAPE, parseEscapeKey } from "../../fanout/shell/input.ts";
import { colorsWanted, unicodeWanted } from "../../reporter/output.ts";
import { textWidth } from "../../reporter/rows/layout.ts";

import { createSecretStore } from "../../vars/secrets/store.ts";
import { hostsToWorkOn } from "../exec/select.ts";
import { readBecome } from "../fan-out-become.ts";
import { withPasswords } from "../passwords.ts";
import { reachOptions } from "../reach-options.ts";
import { secretOptions } from "../secret-options.ts";
import type { ShellFlags } from "../shell-command.ts";
import { groupsOf, selectAmong } from "./select-among.ts";

/** Carries `volley shell` out and gives its exit code. Fails with what is wrong before any host is touched. */
export async function shell(pattern: string | undefined, flags: ShellFlags): Promise<number> {
  const escapeKey = parseEscapeKey(flags.escape ?? DEFAULT_ESCAPE);
  const { stdin, stdout, stderr, env } = process;
  if (stdin.isTTY !== true || stdout.isTTY !== true || env.TERM === "dumb") {
    throw new VolleyError("USAGE", "volley shell needs a terminal, on stdin and stdout", {
      hint: "volley exec runs a command on many hosts without one",
    });
  }
  const { askPassphrase } = await import("../ask.ts");
  const secrets = createSecretStore({ ...secretOptions(flags), cwd: process.cwd(), ask: askPassphrase });
  const selected = await hostsToWorkOn({ hosts: pattern }, flags, secrets);
  const hosts = await Promise.all(selected.map((host) => withPasswords(host, secrets)));
  const becomeOn = await readBecome(flags);
  const interruption = new AbortController();
  const onSignal = (): void => interruption.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  const transports = await openTransports(hosts, await reachOptions(flags), interruption.signal);
  try {
    for (const { host, text } of transports.notes) stderr.write(`${host}: ${text}\n`);
    // Who asks for another command does not wait for a terminal emulator to be loaded.
    const { runFleetShell } = await import("../../fanout/shell/fleet-shell.ts");
    const { reached, gone } = await runFleetShell({
      hosts: hosts.map((host) => ({
        name: host.name,
        become: becomeOn(host),
        ...transports.of(host),
      })),
      stdin,
      stdout,
      escapeKey,
      forks: flags.forks,
      scrollback: flags.scrollback,
      ...(flags.panes === undefined ? {} : { maxPerPage: flags.panes }),
      recordDirectory: resolve(flags.record ?? `volley-shell-${timestamp(new Date())}`),
      recordAll: flags.record !== undefined,
      widthOf: textWidth,
      depth: colorsWanted(stdout, env) ? (stdout.getColorDepth(env) as ColorDepth) : 1,
      ascii: !unicodeWanted(env),
      words: [...hosts.map(({ name }) => name), ...groupsOf(hosts)],
      select: (text) => selectAmong(hosts, text),
      signal: interruption.signal,
    });
    // After a hang-up nobody is there to be told.
    if (interruption.signal.aborted) return 130;
    for (const { host, reason } of gone) stderr.write(`${host}: ${reason}\n`);
    return reached === 0 ? 4 : 0;
  } finally {
    transports.close();
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** Local time as part of a file's name: `20260131-235959`. */
function timestamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day}-${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}
