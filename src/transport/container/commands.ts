import type { ContainerKind, ContainerSettings } from "../../core/inventory.ts";
import { quote } from "../../core/unix/shell.ts";

// The words by which each program starts a script for sh in a container.

/** A kind of container. */
interface Kind {
  readonly program: string;
  /** True where the program itself starts a script as any user; elsewhere `su` does, in the container. */
  readonly knowsUsers: boolean;
  /**
   * True where a process in the container is a child of the program, on the program's terminal. Elsewhere a service
   * starts the process, which goes on when the program is ended.
   */
  readonly isChild: boolean;
  /** The words up to the command in the container. */
  words(
    container: ContainerSettings,
    start: { readonly user: string; readonly terminal: boolean },
  ): readonly string[];
  /** The hint for a container that is there and does not run. */
  readonly startHint?: string;
}

const engine = (program: string): Kind => ({
  program,
  knowsUsers: true,
  isChild: false,
  words: ({ arguments: own, name }, { user, terminal }) => [
    ...own,
    ...["exec", "-i", ...(terminal ? ["-t"] : []), "-u", user, name],
  ],
  startHint: `start it with ${program} start`,
});

const instances = (program: string): Kind => ({
  program,
  knowsUsers: false,
  isChild: false,
  words: ({ arguments: own, name }, { terminal }) => [...own, "exec", terminal ? "-t" : "-T", name, "--"],
  startHint: `start it with ${program} start`,
});

/** The kinds; `nspawn` gets its words from the machine's first process, see `machine.ts`. */
const KINDS: Readonly<Record<ContainerKind, Kind>> = {
  docker: engine("docker"),
  podman: engine("podman"),
  lxd: instances("lxc"),
  incus: instances("incus"),
  nspawn: { program: "nsenter", knowsUsers: false, isChild: true, words: ({ arguments: own }) => own },
  chroot: {
    program: "chroot",
    knowsUsers: false,
    isChild: true,
    words: ({ arguments: own, name }) => [...own, name],
  },
};

/** The way into one container as one user. */
export interface Entrance {
  readonly container: ContainerSettings;
  readonly user: string;
}

/** Return the words that start a script for `sh` in a container: a program of this machine, and its arguments. */
export function commandFor(
  { container, user }: Entrance,
  script: string,
  terminal = false,
): readonly [string, ...string[]] {
  const { program, knowsUsers, words } = KINDS[container.kind];
  const line = knowsUsers || user === "root" ? script : asUser(user, script, terminal);
  return [container.program ?? program, ...words(container, { user, terminal }), "/bin/sh", "-c", line];
}

/** Return the traits of a container's kind. */
export function traitsOf({ kind }: ContainerSettings): Pick<Kind, "isChild" | "startHint"> {
  return KINDS[kind];
}

/** The script that has `su` start a script; on a terminal the new shell stays in its session, to hear Ctrl-C. */
function asUser(user: string, script: string, terminal: boolean): string {
  const su = `exec su -s /bin/sh ${quote(user)}`;
  const inSession = `su --help 2>&1 | grep -q -e --session-command && ${su} --session-command ${quote(script)}\n`;
  return `${terminal ? inSession : ""}${su} -c ${quote(script)}`;
}

const FOUND = "volley-is-in";

/** The script that tells a user's name, home and shell by the container's own /etc/passwd. */
export const LOOK_SCRIPT = `u=$(id -u) || exit; n= h= s=
while IFS=: read -r a _ b _ _ c d; do [ "$b" = "$u" ] && { n=$a h=$c s=$d; break; }; done </etc/passwd 2>/dev/null
printf '${FOUND}\\n%s\\n%s\\n%s\\n' "$n" "\${h:-/}" "\${s:-/bin/sh}"`;

/** A user as the container knows it. */
export interface ContainerUser {
  readonly home: string;
  readonly shell: string;
}

/** Read what {@link LOOK_SCRIPT} printed; undefined: something else. */
export function readLook(output: string): ContainerUser | undefined {
  const [found, , home, shell] = output.split("\n");
  return found === FOUND && home !== undefined && shell !== undefined ? { home, shell } : undefined;
}

/** The search path of sshd's logins, for containers whose program passes this machine's on. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Return the lines that make of a script's environment that of a login: variables, and the home as working directory. */
export function loginLines({ container, user }: Entrance, { home, shell }: ContainerUser): string {
  const { isChild } = KINDS[container.kind];
  const variables = { HOME: home, USER: user, LOGNAME: user, SHELL: shell, ...(isChild ? { PATH } : {}) };
  const names = Object.keys(variables).join(" ");
  const set = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
  return `${set.join(" ")}; export ${names}; cd "$HOME" 2>/dev/null || cd /\n`;
}
