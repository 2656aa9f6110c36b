import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { ConnectionSettings, Host, Inventory, SecretReader } from "../core/inventory.ts";
import { RUNTIME_MODES } from "../core/runtimes.ts";
import { describeSecret, isSecret, secretSource } from "../core/secret.ts";
import { PERSIST_TIMES, parsePersistTime } from "../core/unix/duration.ts";
import { Data, numeric, writeJson } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import { isIPv6 } from "../patterns/names.ts";
import { fillReferences, own } from "../vars/scope.ts";
import { BOOLEAN_WORDS } from "../yaml/scalar.ts";
import { CONNECTION_WORDS, containerKind, readContainer } from "./containers.ts";
import { type Entry, invalid, locationOf } from "./draft.ts";

const ADDRESS = /^[\p{L}\p{N}_][\p{L}\p{N}_.%:-]*$/u;
const SSH_NAMES = [
  "ssh",
  "smart",
  "paramiko",
  "paramiko_ssh",
  "ansible.builtin.ssh",
  "ansible.builtin.paramiko_ssh",
];
const FLAGS: ReadonlyMap<string, boolean> = new Map([...BOOLEAN_WORDS, ["1", true], ["0", false]]);
/** The values of `volley_secrets`, the default first. */
export const SECRET_READERS = ["controller", "worker"] as const satisfies readonly SecretReader[];
/** A label of workers. */
export const WORKER_LABEL = /^[a-z\d][a-z\d_-]{0,62}$/;
/** The rule for labels, for messages. */
export const LABEL_RULE = "small letters, digits, - and _, 63 at most";
const LOCAL_NAMES = ["local", "ansible.builtin.local"];

interface Setting {
  readonly name: string;
  readonly entry: Entry;
  readonly value: unknown;
}

/** The vars of a host, from which its connection is read. */
interface ConnectionInput {
  readonly host: string;
  readonly vars: ReadonlyMap<string, Entry>;
  /** The value of `{{ playbook_dir }}`, an absolute path. */
  readonly playbookDirectory: string | undefined;
  /** For hosts that say nothing of it. Default: `ssh`. */
  readonly defaultConnection?: string | undefined;
}

function refuse(input: ConnectionInput, name: string, entry: Entry, problem: string, hint?: string): never {
  throw invalid(
    `${name} of host ${input.host}: ${problem}`,
    locationOf(entry),
    hint === undefined ? {} : { hint },
  );
}

/** Return the value of a secret from an encrypted file, which is open by now; other secrets stay. */
function opened(value: unknown): unknown {
  if (!isSecret(value)) return value;
  const source = secretSource(value);
  return source.kind === "opened" ? source.value : value;
}

/** Return the first of these vars that is set. In Ansible an `ansible_ssh_` name wins over a plain one, whatever its scope. */
function read(input: ConnectionInput, ...names: readonly string[]): Setting | undefined {
  for (const name of names) {
    const entry = input.vars.get(name);
    if (entry === undefined || entry.value === null || entry.value === "") continue;
    const written = opened(entry.value);
    if (isSecret(written)) {
      refuse(
        input,
        name,
        entry,
        `a ${describeSecret(written)} cannot be used here: hosts are listed without asking for secrets`,
      );
    }
    if (written instanceof Data) return { name, entry, value: written.text };
    if (typeof written !== "string" || !written.includes("{")) return { name, entry, value: written };
    const magic: Readonly<Record<string, unknown>> = {
      inventory_hostname: input.host,
      inventory_hostname_short: input.host.split(".")[0],
      inventory_dir: entry.directory,
      playbook_dir: input.playbookDirectory,
    };
    const look = (variable: string): unknown => {
      const found = opened(input.vars.get(variable)?.value);
      return isSecret(found) ? undefined : (found ?? own(magic, variable));
    };
    const fail = (problem: string): never => {
      return refuse(input, name, entry, `${writeJson(written)} cannot be filled in: ${problem}`);
    };
    return { name, entry, value: fillReferences(written, look, fail) };
  }
  return undefined;
}

function text(input: ConnectionInput, setting: Setting | undefined): string | undefined {
  if (setting === undefined) return undefined;
  const { name, entry, value } = setting;
  const number = typeof value === "boolean" ? undefined : numeric(value);
  if (typeof value === "string" || number !== undefined) return String(value);
  return refuse(input, name, entry, `must be text, not ${writeJson(value)}`);
}

function readAddress(input: ConnectionInput): string {
  const setting = read(input, "ansible_ssh_host", "ansible_host");
  const address = text(input, setting);
  if (setting === undefined || address === undefined) return input.host;
  const bare = /^\[(.+)\]$/.exec(address)?.[1] ?? address;
  if (isIPv6(bare)) return bare;
  if (ADDRESS.test(address) && !address.includes(":")) return address;
  const hint = /^[^:]+:\d+$/.test(address) ? "Set the port with ansible_port." : undefined;
  return refuse(input, setting.name, setting.entry, `"${address}" is not an address`, hint);
}

function readPort(input: ConnectionInput): number | undefined {
  const setting = read(input, "ansible_ssh_port", "ansible_port");
  if (setting === undefined) return undefined;
  const { name, entry, value } = setting;
  const digits = typeof value === "string" && /^\d+$/.test(value.trim());
  const port = typeof value === "number" || digits ? Number(value) : Number.NaN;
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  return refuse(input, name, entry, `${writeJson(value)} is not a port; a port is a number from 1 to 65535`);
}

function readKeyFile(input: ConnectionInput): string | undefined {
  const setting = read(input, "ansible_ssh_private_key_file", "ansible_private_key_file");
  const path = text(input, setting);
  if (setting === undefined || path === undefined) return undefined;
  if (path === "~" || path.startsWith("~/")) return join(homedir(), path.slice(1));
  return resolve(setting.entry.directory, path);
}

function readBecome(input: ConnectionInput): string | null | undefined {
  const setting = read(input, "ansible_become");
  if (setting === undefined) return undefined;
  const { name, entry, value } = setting;
  const become =
    typeof value === "boolean"
      ? value
      : typeof value === "string" || typeof value === "number"
        ? FLAGS.get(String(value).toLowerCase())
        : undefined;
  if (become === undefined)
    return refuse(input, name, entry, `must be true or false, not ${writeJson(value)}`);
  return become ? (text(input, read(input, "ansible_become_user")) ?? "root") : null;
}

function readKind(input: ConnectionInput): Pick<ConnectionSettings, "connection" | "refused" | "container"> {
  const setting = read(input, "ansible_connection");
  const kind = setting === undefined ? (input.defaultConnection ?? "ssh") : text(input, setting)!;
  if (SSH_NAMES.includes(kind)) return { connection: "ssh" };
  if (LOCAL_NAMES.includes(kind)) return { connection: "local" };
  const container = containerKind(kind);
  if (container !== undefined)
    return { connection: container, container: readContainer(container, input.host, textReader(input)) };
  const said = `Volley connects by ${CONNECTION_WORDS}, not by "${kind}"`;
  const refused =
    setting === undefined
      ? new VolleyError("USAGE", `host ${input.host}: ${said}`)
      : invalid(`${setting.name} of host ${input.host}: ${said}`, locationOf(setting.entry));
  return { connection: "ssh", refused };
}

function textReader(input: ConnectionInput): Parameters<typeof readContainer>[2] {
  return (...names) => {
    const setting = read(input, ...names);
    if (setting === undefined) return undefined;
    const { name, entry } = setting;
    return {
      text: text(input, setting)!,
      directory: entry.directory,
      refuse: (problem) => refuse(input, name, entry, problem),
    };
  };
}

/** Return the settings of a host that its play gives a connection, where the inventory gives none. Fails as {@link readConnection} does. */
export function connectionOfPlay(
  { name, vars, sources, connection: known }: Host,
  kind: string,
): ConnectionSettings {
  const directory = process.cwd();
  const entries = Object.entries(vars).map(
    ([key, value]) => [key, { value, source: sources[key] ?? { file: "", scope: name }, directory }] as const,
  );
  const { address, user, connection, container, refused } = readConnection({
    host: name,
    vars: new Map(entries),
    playbookDirectory: directory,
    defaultConnection: kind,
  });
  const { container: _container, refused: _refused, ...rest } = known;
  return {
    ...rest,
    ...{ address, connection, user: known.user ?? user },
    ...(container === undefined ? {} : { container }),
    ...(refused === undefined ? {} : { refused }),
  };
}

/** Read how to reach a host from its vars, under the names that Ansible gives them. Fail with `INVENTORY_INVALID`, naming var, host and line. */
export function readConnection(input: ConnectionInput): ConnectionSettings {
  const kind = readKind(input);
  const users = ["ansible_ssh_user", "ansible_user"];
  return {
    address: kind.container?.name ?? readAddress(input),
    port: readPort(input),
    user: text(
      input,
      read(input, ...users, ...(kind.container === undefined ? [] : [`ansible_${kind.connection}_user`])),
    ),
    privateKeyFile: readKeyFile(input),
    ...kind,
    become: readBecome(input),
    becomeMethod: text(input, read(input, "ansible_become_method")),
    ...readRuntime(input),
    ...readPersist(input),
    ...readWorker(input),
    ...readSecretReader(input),
  };
}

function readSecretReader(input: ConnectionInput): Pick<ConnectionSettings, "secrets"> {
  const setting = read(input, "volley_secrets");
  if (setting === undefined) return {};
  const secrets = SECRET_READERS.find((each) => each === setting.value);
  if (secrets !== undefined) return { secrets };
  const words = SECRET_READERS.join(" or ");
  return refuse(input, setting.name, setting.entry, `must be ${words}, not ${writeJson(setting.value)}`);
}

function readWorker(input: ConnectionInput): Pick<ConnectionSettings, "worker"> {
  const setting = read(input, "volley_worker");
  const worker = text(input, setting);
  if (setting === undefined || worker === undefined) return {};
  if (WORKER_LABEL.test(worker)) return { worker };
  return refuse(input, setting.name, setting.entry, `${writeJson(worker)} is not a label: ${LABEL_RULE}`);
}

/** Read the vars of Volley's own about the Node of a host. */
function readRuntime(input: ConnectionInput): Pick<ConnectionSettings, "runtime"> {
  const mode = read(input, "volley_runtime");
  const place = read(input, "volley_runtime_dir");
  if (mode === undefined && place === undefined) return {};
  const word = mode === undefined ? undefined : RUNTIME_MODES.find((each) => each === mode.value);
  if (mode !== undefined && word === undefined)
    return refuse(
      input,
      mode.name,
      mode.entry,
      `must be one of ${RUNTIME_MODES.join(", ")}, not ${writeJson(mode.value)}`,
    );
  const directory = text(input, place);
  if (place !== undefined && directory?.startsWith("/") !== true)
    return refuse(input, place.name, place.entry, `${writeJson(place.value)} is not an absolute path`);
  return { runtime: { mode: word, directory } };
}

function readPersist(input: ConnectionInput): Pick<ConnectionSettings, "persistMs"> {
  const setting = read(input, "volley_persist");
  if (setting === undefined) return {};
  const { name, entry, value } = setting;
  // A list of one number would read as that number.
  const written = typeof value === "object" ? "" : String(value);
  const persistMs = parsePersistTime(written) ?? (FLAGS.get(written.toLowerCase()) === false ? 0 : undefined);
  if (persistMs !== undefined) return { persistMs };
  return refuse(input, name, entry, `must be ${PERSIST_TIMES}, or false, not ${writeJson(value)}`);
}

/** Describe a host that no source of the inventory names, by vars over those of `all`. Fails as {@link readConnection} does. */
export function describeHost(
  name: string,
  vars: Vars,
  { groups }: Pick<Inventory, "groups">,
  directory: string,
): Host {
  const all = { ...groups.get("all")?.vars, ...vars };
  const source = { file: "add_host", scope: `host ${name}` };
  const entries = new Map(Object.entries(all).map(([key, value]) => [key, { value, source, directory }]));
  const connection = readConnection({ host: name, vars: entries, playbookDirectory: directory });
  return { ...bareHost(name, "ssh"), connection, vars: all };
}

/** Make a host of which nothing is known but its name and its groups. */
export function bareHost(
  name: string,
  connection: ConnectionSettings["connection"],
  groups: readonly string[] = [],
): Host {
  return {
    name,
    connection: {
      address: name,
      port: undefined,
      user: undefined,
      privateKeyFile: undefined,
      connection,
      become: undefined,
      becomeMethod: undefined,
    },
    vars: {},
    sources: {},
    groups,
  };
}
