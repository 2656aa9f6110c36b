// The words of Ansible's language, and the names of its modules.

/** Keywords that plays, blocks, roles and tasks share. */
const COMMON = [
  "any_errors_fatal",
  "become",
  "become_exe",
  "become_flags",
  "become_method",
  "become_user",
  "check_mode",
  "collections",
  "connection",
  "debugger",
  "diff",
  "environment",
  "ignore_errors",
  "ignore_unreachable",
  "module_defaults",
  "name",
  "no_log",
  "port",
  "remote_user",
  "run_once",
  "tags",
  "throttle",
  "timeout",
  "vars",
] as const;

/** Keywords of a play. */
export const PLAY_KEYWORDS: ReadonlySet<string> = new Set([
  ...COMMON,
  "fact_path",
  "force_handlers",
  "gather_facts",
  "gather_subset",
  "gather_timeout",
  "handlers",
  "hosts",
  "max_fail_percentage",
  "order",
  "post_tasks",
  "pre_tasks",
  "roles",
  "serial",
  "strategy",
  "tasks",
  "user",
  "vars_files",
  "vars_prompt",
]);

/** Keywords of a block. */
export const BLOCK_KEYWORDS: ReadonlySet<string> = new Set([
  ...COMMON,
  "always",
  "block",
  "delegate_facts",
  "delegate_to",
  "notify",
  "rescue",
  "when",
]);

/** Keywords of a task, without the `with_…` loops. */
export const TASK_KEYWORDS: ReadonlySet<string> = new Set([
  ...COMMON,
  "action",
  "args",
  "async",
  "changed_when",
  "delay",
  "delegate_facts",
  "delegate_to",
  "failed_when",
  "listen",
  "local_action",
  "loop",
  "loop_control",
  "notify",
  "poll",
  "register",
  "retries",
  "until",
  "when",
]);

/** Keywords of `include_tasks` and `include_role`, without the `with_…` loops: all others are for their `apply`. */
export const INCLUDE_KEYWORDS: ReadonlySet<string> = new Set([
  "action",
  "args",
  "collections",
  "debugger",
  "ignore_errors",
  "listen",
  "local_action",
  "loop",
  "loop_control",
  "name",
  "no_log",
  "register",
  "run_once",
  "tags",
  "timeout",
  "vars",
  "when",
]);

/** Keywords of an entry of `roles`; other keys of an entry are the role's vars. */
export const ROLE_KEYWORDS: ReadonlySet<string> = new Set([
  ...COMMON,
  "delegate_facts",
  "delegate_to",
  "role",
  "when",
]);

/** Return the names that Ansible warns of where vars have them. */
export function reservedNames(names: Iterable<string>): readonly string[] {
  const all = [PLAY_KEYWORDS, BLOCK_KEYWORDS, TASK_KEYWORDS, ROLE_KEYWORDS];
  return [...new Set(names)].filter(
    (name) =>
      /^(?:cycler|dict|joiner|lipsum|lookup|namespace|now|q|query|range|undef)$/.test(name) ||
      (!/^(?:vars|listen|user|role)$/.test(name) && all.some((words) => words.has(name))),
  );
}

/** Keys of `loop_control`. */
export const LOOP_CONTROL_KEYWORDS: ReadonlySet<string> = new Set([
  "extended",
  "extended_allitems",
  "index_var",
  "label",
  "loop_var",
  "pause",
]);

/** Collections whose modules are known by their short names. */
const KNOWN_COLLECTIONS =
  /^(?:ansible\.(?:builtin|legacy|mysql|netcommon|posix|utils|windows)|community\.(?:general|mysql|postgresql|crypto))\./;

/** Return a module's name without a collection that Volley knows. */
export function shortModuleName(name: string): string {
  return name.replace(KNOWN_COLLECTIONS, "");
}

/** Modules that take free text as their argument. */
export const FREE_FORM: ReadonlySet<string> = new Set([
  "command",
  "shell",
  "script",
  "raw",
  "meta",
  "include",
  "include_tasks",
  "import_tasks",
  "include_role",
  "import_role",
  "include_vars",
  "import_playbook",
  "add_host",
  "group_by",
  "set_fact",
  "win_command",
  "win_shell",
]);

/** Of the free-form modules, those whose text is a command line: only these options are taken out of the text. */
export const COMMAND_OPTIONS: ReadonlySet<string> = new Set([
  "chdir",
  "creates",
  "removes",
  "executable",
  "warn",
  "stdin",
  "stdin_add_newline",
  "strip_empty_ends",
]);

/** Modules whose free text is a command line. */
export const COMMANDS: ReadonlySet<string> = new Set([
  "command",
  "shell",
  "script",
  "raw",
  "win_command",
  "win_shell",
]);

/** Modules that bring tasks or roles in. */
export const INCLUDES: ReadonlySet<string> = new Set([
  "include",
  "include_tasks",
  "import_tasks",
  "include_role",
  "import_role",
]);

/** Modules that work on the play alone: where they are delegated to makes no difference. */
export const PLACELESS: ReadonlySet<string> = new Set([
  "add_host",
  "assert",
  "debug",
  "fail",
  "group_by",
  "import_role",
  "import_tasks",
  "include",
  "include_role",
  "include_tasks",
  "include_vars",
  "pause",
  "set_fact",
  "set_stats",
]);

/** Names of the machine that plays are started from. */
export const CONTROLLER: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1"]);

/** Return whether a value is the name of a var, as a register and `set_fact` need one. */
export function isVarName(value: unknown): boolean {
  return typeof value === "string" && /^[A-Za-z_]\w*$/.test(value);
}
