import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { ContainerKind, ContainerSettings } from "../core/inventory.ts";
import { splitWords } from "../core/unix/shell.ts";

/** The names of Ansible's connection plugins, and short ones, of each kind. */
const NAMES: Readonly<Record<string, ContainerKind>> = {
  docker: "docker",
  docker_api: "docker",
  "community.docker.docker": "docker",
  "community.docker.docker_api": "docker",
  "community.general.docker": "docker",
  podman: "podman",
  "containers.podman.podman": "podman",
  "community.general.podman": "podman",
  lxd: "lxd",
  "community.general.lxd": "lxd",
  incus: "incus",
  "community.general.incus": "incus",
  nspawn: "nspawn",
  machinectl: "nspawn",
  chroot: "chroot",
  "community.general.chroot": "chroot",
};

/** The names under which a host's `ansible_connection` may ask for a container. */
export const CONTAINER_NAMES: readonly string[] = Object.keys(NAMES);

/** The connections by the names that are Volley's own. */
export const CONNECTION_KINDS: readonly string[] = ["ssh", "local", ...new Set(Object.values(NAMES))];

/** These names, for messages. */
export const CONNECTION_WORDS = `${CONNECTION_KINDS.slice(0, -1).join(", ")} or ${CONNECTION_KINDS.at(-1)}`;

/** Return the kind of container that a connection's name means; undefined for other connections. */
export function containerKind(name: string): ContainerKind | undefined {
  return Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
}

/** Reads one var of a host as text, the first of these that is set, with the directory that its path counts from. */
type ReadText = (
  ...names: readonly string[]
) => { readonly text: string; readonly directory: string; refuse(problem: string): never } | undefined;

const CONTROL = /\p{Cc}/u;
const NAME = /^[\w][\w.@:/-]*$/;

/** Read the container of a host: which one, and the program that leads into it. Fails with `INVENTORY_INVALID`. */
export function readContainer(kind: ContainerKind, host: string, read: ReadText): ContainerSettings {
  const own = (name: string): string | undefined => read(`ansible_${kind}_${name}`)?.text;
  const words = read(`ansible_${kind}_extra_args`);
  const program =
    kind === "chroot"
      ? read("ansible_chroot_exe")
      : kind === "podman"
        ? read("ansible_podman_executable")
        : undefined;
  return {
    kind,
    name: readName(kind, host, read),
    program: program?.text,
    arguments: [
      ...(kind === "lxd" || kind === "incus" ? projectOf(own("project")) : []),
      ...(words === undefined
        ? []
        : splitWords(words.text, {
            escapes: "shlex",
            fail: ({ kind }) =>
              words.refuse(kind === "quote" ? "a quotation mark is not closed" : "it ends with a backslash"),
          })),
    ],
  };
}

function projectOf(project: string | undefined): readonly string[] {
  return project === undefined ? [] : ["--project", project];
}

function readName(kind: ContainerKind, host: string, read: ReadText): string {
  const given = read("ansible_host", "ansible_ssh_host", `ansible_${kind}_host`);
  const name = given?.text ?? host;
  if (name === "" || CONTROL.test(name)) given?.refuse("a control character is in it");
  if (kind === "chroot" || (kind === "nspawn" && name.includes("/"))) {
    if (name.startsWith("~/")) return join(homedir(), name.slice(2));
    return resolve(given?.directory ?? ".", name);
  }
  if (!NAME.test(name)) given?.refuse(`"${name}" is no name of a container`);
  if (kind !== "lxd" && kind !== "incus") return name;
  // Instances have no domain; a host of the inventory may.
  const remote = read(`ansible_${kind}_remote`)?.text ?? "local";
  return `${remote}:${name.split(".", 1)[0]}`;
}
