import { isDict } from "../../core/values/value.ts";
import type { Keys, Needs, TaskNode } from "../ir.ts";
import { PLACELESS } from "../keywords.ts";
import type { ActionGroups } from "./action-groups.ts";

// Needs that only a controller meets: its files and programs, other hosts, and hosts that go through a play together.

/** Modules that work with the controller's files or with other hosts. */
const MODULES: ReadonlySet<string> = new Set(["add_host", "fetch", "synchronize"]);

const INCLUDES: ReadonlySet<string> = new Set(["include", "include_tasks", "include_role"]);

/** Lookups that read on the controller's machine, and find nothing in a bundle. */
const LOOKUPS =
  "csvfile|env|fileglob|filetree|ini|lines|password|pipe|unvault|url|config|inventory_hostnames";
const OF = "(?:(?:ansible\\.builtin|community\\.general)\\.)?";
const LOOKUP = new RegExp(`\\b(?:lookup|query|q)\\(\\s*["']${OF}(${LOOKUPS})["']`);
const LOOP = new RegExp(`^with_${OF}(${LOOKUPS})$`);

/** Tests of paths, which look at the controller's machine, as Ansible's do. */
const PATH_TEST =
  /\bis\s+(?:not\s+)?(?:ansible\.builtin\.)?(?:(?:is_)?(?:file|dir|directory|link|mount)|exists|(?:is_)?link_exists|(?:is_)?same_?file)\b/;

/** Paths of the playbook's own: its files are in the bundle. */
const OWN_PATH = /\b(?:role_path|playbook_dir)\b/;

/** Lookups of files, but for those of the playbook or its roles that are named by a text or by the place of these. */
const FILE =
  /\b(?:lookup|query|q)\(\s*["'](?:ansible\.builtin\.)?(file|template)["']\s*,(?!\s*(?:["'][^/~{]|(?:role_path|playbook_dir)\b))/;

/** The vars of other hosts: not those of the host itself. */
const HOSTVARS = /\bhostvars\b(?!\s*\[\s*inventory_hostname\s*\])/;

/** The vars that name the hosts of a play: a host by itself knows of none but itself. */
const PLAY_HOSTS = /\b(?:ansible_play_hosts(?:_all)?|ansible_play_batch|play_hosts)\b/;

/** The vars of templates that describe their file: only the controller has that. */
const OWN_FILE = /\btemplate_(?:host|uid|mtime)\b/;

/** Notes why only a controller can carry a playbook out, as it is read: the first reason of each kind. */
export class NeedNotes implements Needs {
  controller: string | undefined;
  others: string | undefined;
  debugger: string | undefined;
  #endsAll = false;
  /** The first play with batches. */
  #batches: string | undefined;
  addsHosts = false;
  readonly #made = new Set<string>();
  #readsHosts = false;
  readonly #groups: ActionGroups | undefined;

  /** `groups` gets the groups of modules that are named. */
  constructor(groups?: ActionGroups) {
    this.#groups = groups;
  }

  /** Note what a task asks for. */
  task({ module, args, keys, at }: TaskNode): void {
    this.keys(keys, at, module);
    this.addsHosts ||= module === "add_host";
    const learned = module === "set_fact" ? wayVar(args) : undefined;
    if (learned !== undefined) this.controller ??= `${at}: ${learned} opens another way to the host`;
    if (module === "group_by")
      for (const name of textsIn([args.key ?? args._raw_params ?? "*", args.parents]))
        for (const each of name.replace(/\{\{.*?\}\}|\{%.*?%\}/gs, "*").split(","))
          this.#made.add(each.trim().replaceAll(" ", "-"));
    if (MODULES.has(module))
      this.controller ??= `${at}: ${module} works with files or hosts of the controller's`;
    if (module === "copy" && args.local_follow !== undefined && args.remote_src === undefined)
      this.controller ??= `${at}: the links of its files are the controller's`;
    const loop = Object.keys(keys).find((key) => LOOP.test(key));
    if (loop !== undefined) this.controller ??= `${at}: ${loop} is looked up on the controller`;
    const endsAll = module === "meta" && /^end_(?:play|batch)$/.test(String(args._raw_params));
    this.#endsAll ||= endsAll;
    if (INCLUDES.has(module) && keys.run_once !== undefined && keys.run_once !== false)
      this.others ??= `${at}: one host does the include for all`;
    if (endsAll && keys.when !== undefined) this.others ??= `${at}: one host may end the play for the others`;
    const files = textsIn([keys.with_file, keys["with_ansible.builtin.file"]]);
    if (files.some((name) => /^[/~]|\{\{/.test(name)))
      this.controller ??= `${at}: with_file is looked up on the controller`;
    this.value(args, at);
    const { apply } = args;
    if (isDict(apply) && !(apply instanceof Map)) this.keys(apply, at);
    this.controller ??= needOfFirstFound(args, keys, at);
  }

  /** Note what the keywords of a play, block or task ask for; `module` is that of a task, or `play`. */
  keys(keys: Keys, at: string, module = ""): void {
    const { delegate_to: place, any_errors_fatal: isFatal, throttle, serial } = keys;
    this.#groups?.take(keys.module_defaults, at);
    const isHere = PLACELESS.has(module) || /^\{\{\s*inventory_hostname\s*\}\}$/.test(String(place));
    const givesFacts = keys.delegate_facts !== undefined;
    if (place !== undefined && place !== null && (!isHere || givesFacts))
      this.controller ??= `${at}: it is delegated to ${String(place)}`;
    if (isFatal !== undefined && isFatal !== false)
      this.others ??= `${at}: any error there ends the run for all hosts`;
    // The play's own settle the connection of the run.
    const way = module === "play" ? undefined : otherWay(keys);
    if (way !== undefined) this.controller ??= `${at}: ${way} opens another way to the host`;
    if (keys.debugger !== undefined && keys.debugger !== "never") this.debugger ??= at;
    if (serial !== undefined) this.#batches ??= at;
    if (throttle !== undefined) this.others ??= `${at}: throttle limits the hosts that are at a task`;
    this.value(keys, at);
  }

  /** Note what the vars of a play or of a file ask for. */
  vars(vars: unknown, at: string): void {
    this.value(vars, at);
    const name = isDict(vars) && !(vars instanceof Map) ? wayVar(vars) : undefined;
    if (name !== undefined && name !== "ansible_connection")
      this.controller ??= `${at}: ${name} opens another way to the host`;
  }

  /** Note what templates in values ask for. */
  value(value: unknown, at: string): void {
    for (const text of textsIn(value)) {
      if (HOSTVARS.test(text)) {
        this.controller ??= `${at}: hostvars are those of other hosts`;
        this.#readsHosts = true;
      }
      const found = (LOOKUP.exec(text) ?? FILE.exec(text))?.[1];
      if (found !== undefined) this.controller ??= `${at}: the lookup ${found} reads on the controller`;
      if (PATH_TEST.test(text) && !OWN_PATH.test(text))
        this.controller ??= `${at}: a test of a path looks on the controller`;
      if (OWN_FILE.test(text)) this.controller ??= `${at}: the file of a template is the controller's`;
      if (PLAY_HOSTS.test(text)) this.others ??= `${at}: the hosts of the play are known to the controller`;
    }
  }

  /** The needs alone. */
  get all(): Needs {
    const { controller, addsHosts, debugger: debugs } = this;
    const ends = this.#endsAll ? this.#batches : undefined;
    const others =
      this.others ?? (ends === undefined ? undefined : `${ends}: one batch may end the play for the others`);
    return {
      ...(addsHosts ? { addsHosts } : {}),
      ...(this.#made.size > 0 ? { makesGroups: [...this.#made] } : {}),
      ...(this.#readsHosts ? { readsHosts: true } : {}),
      ...(debugs === undefined ? {} : { debugger: debugs }),
      ...(controller === undefined ? {} : { controller }),
      ...(others === undefined ? {} : { others }),
    };
  }
}

/** A path outside of the playbook, as a whole text or in a list of paths; and in an expression. */
const OUTSIDE = /^\s*[/~]|[,:;]\s*[/~]/;
const OUTSIDE_IN_EXPRESSION = /["'][/~]/;

/** Return why `first_found` has to look on the controller: the bundle holds only what lies in the playbook and its roles. */
function needOfFirstFound(args: unknown, keys: Keys, at: string): string | undefined {
  const isFinder = (text: string): boolean => text.includes("first_found");
  const texts = [...textsIn(args), ...textsIn(keys)];
  const looped = Object.keys(keys).filter((key) => /^with_(?:ansible\.builtin\.)?first_found$/.test(key));
  if (looped.length === 0 && !texts.some(isFinder)) return undefined;
  const paths = [...looped.map((key) => keys[key]), keys.vars].flatMap(textsIn);
  return paths.some((text) => OUTSIDE.test(text)) ||
    texts.some((text) => isFinder(text) && OUTSIDE_IN_EXPRESSION.test(text))
    ? `${at}: first_found looks for files outside of the playbook`
    : undefined;
}

const WAY_VARS =
  /^ansible_(?:(?:ssh_)?(?:user|port|host|pass(?:word)?|private_key_file)|connection|become_(?:method|exe|flags|pass(?:word)?))$/;

/** Return the keyword or var that may let a task reach its host another way than the run does. */
function otherWay(keys: Keys): string | undefined {
  const { connection, become_method: method, vars } = keys;
  if (connection !== undefined && !/^(?:ansible\.builtin\.)?(?:ssh|smart)$/.test(String(connection)))
    return "connection";
  if (method !== undefined && !/^(?:ansible\.builtin\.)?sudo$/.test(String(method))) return "become_method";
  const keyword = ["remote_user", "port", "become_exe", "become_flags"].find(
    (key) => keys[key] !== undefined && keys[key] !== null,
  );
  return keyword ?? (isDict(vars) && !(vars instanceof Map) ? wayVar(vars) : undefined);
}

function wayVar(vars: object): string | undefined {
  return Object.keys(vars).find((name) => WAY_VARS.test(name));
}

/** Return the texts in a value, at any depth. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isDict(value)
    ? (value instanceof Map ? [...value.values()] : Object.values(value)).flatMap(textsIn)
    : [];
}
