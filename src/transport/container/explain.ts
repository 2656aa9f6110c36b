import { VolleyError } from "../../core/errors.ts";
import type { ContainerSettings } from "../../core/inventory.ts";
import { traitsOf } from "./commands.ts";

/** The ends of messages that tell more than that a container cannot be entered, and what helps. */
const HINTS: readonly (readonly [RegExp, string | ((container: ContainerSettings) => string | undefined)])[] =
  [
    [/is not running|not running|container state improper/i, (container) => traitsOf(container).startHint],
    [
      /permission denied|need to be root|operation not permitted|cannot change root directory.*not permitted/i,
      ({ kind, program = kind }) =>
        kind === "chroot" || kind === "nspawn"
          ? "run volley as root"
          : `does this user have the right to use ${program}?`,
    ],
    [/\/bin\/sh.*no such file|"\/bin\/sh"/i, "Volley works in containers that have a /bin/sh"],
    [
      /no such file or directory/i,
      ({ kind }) => (kind === "chroot" ? "ansible_host names the directory" : undefined),
    ],
  ];

/** Return the error of a container that cannot be entered, by what its program said last. */
export function explainEntrance(
  host: string,
  container: ContainerSettings,
  program: string,
  said: string,
): VolleyError {
  const last = said
    .split("\n")
    .map((line) => line.trim())
    .findLast((line) => line !== "");
  const reason = last?.replace(/^(?:Error(?: response from daemon)?: *)+/i, "") ?? "it ended without a word";
  const [, hint] = HINTS.find(([pattern]) => pattern.test(reason)) ?? [];
  const text = typeof hint === "function" ? hint(container) : hint;
  return new VolleyError(
    "CONNECT_FAILED",
    `${host}: ${program} does not lead into ${container.name}: ${reason}`,
    text === undefined ? {} : { hint: text },
  );
}

/** Return the error of a program that this machine lacks. */
export function missingProgram(host: string, { kind }: ContainerSettings, program: string): VolleyError {
  const name: Readonly<Record<string, string>> = {
    podman: "ansible_podman_executable",
    chroot: "ansible_chroot_exe",
  };
  const variable = name[kind];
  return new VolleyError("CONNECT_FAILED", `${host}: there is no ${program} on this machine`, {
    hint: variable === undefined ? `install ${program}` : `install it, or name the program with ${variable}`,
  });
}
