// Parameters of the modules that are the play's own.

/** The parameters of a module; free text is `_raw_params`. */
interface OwnParameters {
  readonly known: readonly string[];
  /** Those that a task must give, any one of each. */
  readonly required?: readonly (readonly string[])[];
  /** True for modules that pass over parameters they do not know, as Ansible's do. */
  readonly isLax?: boolean;
}

const ROLE = ["name", "role", "tasks_from", "vars_from", "defaults_from", "handlers_from"];

/** The parameters by module; a module that is not here takes any, or is an action. */
export const OWN_PARAMETERS: Readonly<Record<string, OwnParameters>> = {
  assert: { known: ["that", "fail_msg", "msg", "success_msg", "quiet"], required: [["that"]] },
  async_status: { known: ["jid", "mode"], required: [["jid"]] },
  debug: { known: ["msg", "var", "verbosity"] },
  fail: { known: ["msg"] },
  fetch: {
    known: ["src", "dest", "flat", "fail_on_missing", "validate_checksum"],
    required: [["src"], ["dest"]],
    isLax: true,
  },
  group_by: { known: ["key", "parents"], required: [["key"]] },
  import_role: {
    known: [...ROLE, "allow_duplicates", "rolespec_validate"],
    required: [["name", "role"]],
  },
  import_tasks: { known: ["_raw_params", "file"], required: [["_raw_params", "file"]] },
  include_role: {
    known: [...ROLE, "apply", "public", "allow_duplicates", "rolespec_validate"],
    required: [["name", "role"]],
  },
  include_tasks: { known: ["_raw_params", "file", "apply"], required: [["_raw_params", "file"]] },
  include_vars: {
    known: [
      ...["_raw_params", "file", "dir", "name", "depth", "files_matching", "ignore_files", "extensions"],
      ...["ignore_unknown_extensions", "hash_behaviour"],
    ],
    required: [["_raw_params", "file", "dir"]],
  },
  ping: { known: ["data"] },
  raw: { known: ["_raw_params", "executable"], required: [["_raw_params"]], isLax: true },
  script: {
    known: ["_raw_params", "cmd", "chdir", "creates", "removes", "executable", "decrypt"],
    required: [["_raw_params", "cmd"]],
    isLax: true,
  },
  set_stats: { known: ["data", "per_host", "aggregate"] },
  setup: { known: ["filter", "gather_subset", "gather_timeout", "fact_path"] },
  synchronize: {
    known: [
      ...[
        "archive",
        "checksum",
        "compress",
        "copy_links",
        "delay_updates",
        "delete",
        "dest",
        "dest_port",
        "dirs",
      ],
      ...["existing_only", "group", "link_dest", "links", "mode", "owner", "partial", "perms", "private_key"],
      ...["recursive", "rsync_opts", "rsync_path", "rsync_timeout", "set_remote_user", "src"],
      ...["ssh_connection_multiplexing", "times", "use_ssh_args", "verify_host"],
    ],
    required: [["src"], ["dest"]],
  },
  wait_for_connection: { known: ["connect_timeout", "delay", "sleep", "timeout"] },
};

/** Say which arguments a module of the play's own does not have, as Ansible says it; undefined for none. */
export function unknownOptions(module: string, args: Readonly<Record<string, unknown>>): string | undefined {
  const own = Object.hasOwn(OWN_PARAMETERS, module) ? OWN_PARAMETERS[module] : undefined;
  if (own === undefined || own.isLax === true) return undefined;
  const { known } = own;
  const unknown = Object.keys(args)
    .filter((name) => name !== "_raw_params" && !known.includes(name))
    .sort();
  if (unknown.length === 0) return undefined;
  if (module === "include_vars") return `${unknown[0]} is not a valid option in include_vars`;
  return module === "ping" || module === "setup" || module === "async_status" || module === "synchronize"
    ? `Unsupported parameters for (${module}) module: ${unknown.join(", ")}. Supported parameters include: ${known.toSorted().join(", ")}.`
    : `Invalid options for ${module}: ${unknown.join(",")}`;
}

/** The actions of `meta`. */
export const META_ACTIONS: readonly string[] = [
  ...["clear_facts", "clear_host_errors", "end_batch", "end_host", "end_play", "end_role"],
  ...["flush_handlers", "noop", "refresh_inventory", "reset_connection"],
];
