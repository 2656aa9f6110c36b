import { chmodSync, readFileSync } from "node:fs";
import type { RunOptions } from "../../../src/controller/prepare/options.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import { makeProject, type Project, playbookText, TWO_FILES } from "./project.ts";

/** A sudo that takes the password `open sesame`, asks three times, and writes down how often it was given one. */
export const SUDO = `while [ "$1" != -- ]; do case $1 in -S) s=1;; -p) p=$2; shift;; -u) HOME="$HOME/of-$2"; mkdir -p "$HOME";; esac; shift; done; shift
for try in 1 2 3; do
  [ "$s" ] || exec "$@"
  printf "\\nWe trust you have received the usual lecture.\\n" >&2
  printf %s "$p" >&2
  IFS= read -r word || { echo "sudo: no password was provided" >&2; exit 1; }
  echo "$word" >>"$ASKED"
  [ "$word" = "open sesame" ] && exec "$@"
  echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2; exit 1`;

/** A host with a sudo of its own, and a project for it. */
export interface SudoHost {
  readonly project: Project;
  readonly fleet: EmbeddedFleet;
  readonly options: Partial<RunOptions>;
  /** The passwords that sudo was given. */
  asked(): readonly string[];
}

/** Starts hosts whose user `ops`, who is nobody's namesake, has a sudo that is this shell script. */
export function sudoHosts(
  scratch: () => string,
  startFleet: (options: EmbeddedFleetOptions) => Promise<EmbeddedFleet>,
): (sudo: string, plays?: string, more?: Partial<EmbeddedFleetOptions>) => Promise<SudoHost> {
  return async (sudo, plays = TWO_FILES, more = {}) => {
    const project = makeProject(scratch(), {
      "site.ts": playbookText(plays),
      "bin/sudo": `#!/bin/sh\n${sudo}\n`,
    });
    chmodSync(project.path("bin/sudo"), 0o755);
    const fleet = await startFleet({
      count: 1,
      passwords: [{ user: "ops", password: "login" }],
      env: { PATH: `${project.path("bin")}:${process.env.PATH}`, ASKED: project.path("asked") },
      ...more,
    });
    const inventory = project.write(
      "ops.yaml",
      fleet
        .inventoryYaml()
        .replaceAll(`ansible_user: ${JSON.stringify(fleet.user)}`, 'ansible_user: "ops"')
        .replaceAll(/.*private_key_file.*\n/g, ""),
    );
    const asked = (): readonly string[] => {
      try {
        return readFileSync(project.path("asked"), "utf8").trimEnd().split("\n");
      } catch {
        return [];
      }
    };
    return { project, fleet, asked, options: { inventory, password: "login", become: true } };
  };
}
