import { homedir } from "node:os";
import { join } from "node:path";
import { failLookup } from "./fail-lookup.ts";

/** A setting of Ansible's: the variable of the environment that sets it, and its value without. */
type Setting = readonly [variable: string | null, value: unknown];

const own = (...path: readonly string[]): string => join(homedir(), ".ansible", ...path);

/** The cows of cowsay that are asked for by default. */
const COWS = [
  ...["bud-frogs", "bunny", "cheese", "daemon", "default", "dragon", "elephant-in-snake", "elephant", "eyes"],
  ...["hellokitty", "kitty", "luke-koala", "meow", "milk", "moofasa", "moose", "ren", "sheep", "small"],
  ...["stegosaurus", "stimpy", "supermilker", "three-eyes", "turkey", "turtle", "tux", "udder"],
  ...["vader-koala", "vader", "www"],
];

/** The settings that the lookup `config` knows, with Ansible's defaults. */
const SETTINGS: () => Readonly<Record<string, Setting>> = () => ({
  ANSIBLE_COW_ACCEPTLIST: ["ANSIBLE_COW_ACCEPTLIST", COWS],
  ANSIBLE_HOME: ["ANSIBLE_HOME", own()],
  COLLECTIONS_PATHS: ["ANSIBLE_COLLECTIONS_PATH", [own("collections"), "/usr/share/ansible/collections"]],
  DEFAULT_BECOME: ["ANSIBLE_BECOME", false],
  DEFAULT_BECOME_METHOD: ["ANSIBLE_BECOME_METHOD", "sudo"],
  DEFAULT_BECOME_USER: ["ANSIBLE_BECOME_USER", "root"],
  DEFAULT_EXECUTABLE: ["ANSIBLE_EXECUTABLE", "/bin/sh"],
  DEFAULT_FORCE_HANDLERS: ["ANSIBLE_FORCE_HANDLERS", false],
  DEFAULT_FORKS: ["ANSIBLE_FORKS", 5],
  DEFAULT_GATHERING: ["ANSIBLE_GATHERING", "implicit"],
  DEFAULT_HASH_BEHAVIOUR: ["ANSIBLE_HASH_BEHAVIOUR", "replace"],
  DEFAULT_HOST_LIST: ["ANSIBLE_INVENTORY", ["/etc/ansible/hosts"]],
  DEFAULT_JINJA2_NATIVE: ["ANSIBLE_JINJA2_NATIVE", false],
  DEFAULT_LOCAL_TMP: ["ANSIBLE_LOCAL_TEMP", own("tmp")],
  DEFAULT_MANAGED_STR: [null, "Ansible managed"],
  DEFAULT_MODULE_PATH: ["ANSIBLE_LIBRARY", [own("plugins", "modules"), "/usr/share/ansible/plugins/modules"]],
  DEFAULT_NO_LOG: ["ANSIBLE_NO_LOG", false],
  DEFAULT_NULL_REPRESENTATION: ["ANSIBLE_NULL_REPRESENTATION", null],
  DEFAULT_POLL_INTERVAL: ["ANSIBLE_POLL_INTERVAL", 15],
  DEFAULT_PRIVATE_KEY_FILE: ["ANSIBLE_PRIVATE_KEY_FILE", null],
  DEFAULT_REMOTE_PORT: ["ANSIBLE_REMOTE_PORT", null],
  DEFAULT_REMOTE_USER: ["ANSIBLE_REMOTE_USER", null],
  DEFAULT_ROLES_PATH: [
    "ANSIBLE_ROLES_PATH",
    [own("roles"), "/usr/share/ansible/roles", "/etc/ansible/roles"],
  ],
  DEFAULT_STRATEGY: ["ANSIBLE_STRATEGY", "linear"],
  DEFAULT_TIMEOUT: ["ANSIBLE_TIMEOUT", 10],
  DEFAULT_TRANSPORT: ["ANSIBLE_TRANSPORT", "smart"],
  DEFAULT_VAULT_IDENTITY: ["ANSIBLE_VAULT_IDENTITY", "default"],
  ERROR_ON_MISSING_HANDLER: ["ANSIBLE_ERROR_ON_MISSING_HANDLER", true],
  HOST_KEY_CHECKING: ["ANSIBLE_HOST_KEY_CHECKING", true],
  INTERPRETER_PYTHON: ["ANSIBLE_PYTHON_INTERPRETER", "auto"],
  RETRY_FILES_ENABLED: ["ANSIBLE_RETRY_FILES_ENABLED", false],
});

/** Read a text as a value of the default's type. */
function like(value: unknown, text: string): unknown {
  if (typeof value === "boolean") return /^(?:yes|on|true|1|y|t)$/i.test(text);
  if (typeof value === "number" && /^\d+$/.test(text)) return Number(text);
  return Array.isArray(value) ? text.split(":") : text;
}

const ON_MISSING = ["error", "skip", "warn"];

/** Return the value of a setting as a list of one; an unknown one fails, or is left out if `onMissing` says so: `error`, `skip` or `warn`. */
export function settingOf(
  name: unknown,
  env: Readonly<Record<string, string | undefined>>,
  onMissing: string,
): readonly unknown[] {
  if (!ON_MISSING.includes(onMissing))
    failLookup(`Invalid value "${onMissing}" for on_missing, valid values are: ${ON_MISSING.join(", ")}`);
  if (typeof name !== "string") failLookup(`Invalid setting identifier, "${name}" is not a string`);
  const settings = SETTINGS();
  const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
  if (setting === undefined) {
    if (onMissing !== "error") return [];
    if (!/^[A-Z0-9_]+$/.test(name))
      failLookup(`Invalid setting "${name}" attempted: names of settings are in capitals`);
    failLookup(`Unable to find setting ${name}`);
  }
  const [variable, value] = setting;
  const text = variable === null ? undefined : env[variable];
  return [text === undefined ? value : like(value, text)];
}
