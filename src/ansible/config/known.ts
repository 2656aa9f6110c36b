// The settings of ansible.cfg and of the environment that Volley knows, by what becomes of them.

/** The types of settings, and their values. */
export interface SettingTypes {
  readonly text: string;
  readonly flag: boolean;
  readonly whole: number;
  /** An absolute path. */
  readonly path: string;
  /** Absolute paths, written with `:` between them. */
  readonly paths: readonly string[];
  /** Absolute paths and other sources, written with `,` between them. */
  readonly sources: readonly string[];
  /** Words, written with `,` between them. */
  readonly words: readonly string[];
}

/** The places of a setting, the first that is set wins. */
export interface KnownSetting<T extends keyof SettingTypes = keyof SettingTypes> {
  readonly type: T;
  /** Environment variables. */
  readonly env: readonly string[];
  /** `section.key` of the file. */
  readonly ini: readonly string[];
  /** The values that it may have. */
  readonly choices?: readonly string[];
}

function setting<T extends keyof SettingTypes>(
  type: T,
  env: string,
  ini: string,
  choices?: readonly string[],
): KnownSetting<T> {
  const words = (text: string): readonly string[] => text.split(" ").filter((word) => word !== "");
  return { type, env: words(env), ini: words(ini), ...(choices === undefined ? {} : { choices }) };
}

/** The settings with a meaning here. */
export const SETTINGS = {
  inventory: setting("sources", "ANSIBLE_INVENTORY", "defaults.inventory"),
  rolesPath: setting("paths", "ANSIBLE_ROLES_PATH", "defaults.roles_path"),
  collectionsPath: setting(
    "paths",
    "ANSIBLE_COLLECTIONS_PATH ANSIBLE_COLLECTIONS_PATHS",
    "defaults.collections_path defaults.collections_paths",
  ),
  library: setting("paths", "ANSIBLE_LIBRARY", "defaults.library"),

  remoteUser: setting("text", "ANSIBLE_REMOTE_USER", "defaults.remote_user"),
  remotePort: setting("whole", "ANSIBLE_REMOTE_PORT", "defaults.remote_port"),
  privateKeyFile: setting("path", "ANSIBLE_PRIVATE_KEY_FILE", "defaults.private_key_file"),
  transport: setting("text", "ANSIBLE_TRANSPORT", "defaults.transport"),
  timeout: setting("whole", "ANSIBLE_TIMEOUT ANSIBLE_SSH_TIMEOUT", "defaults.timeout ssh_connection.timeout"),
  hostKeyChecking: setting(
    "flag",
    "ANSIBLE_HOST_KEY_CHECKING ANSIBLE_SSH_HOST_KEY_CHECKING",
    "defaults.host_key_checking ssh_connection.host_key_checking",
  ),
  sshRetries: setting("whole", "ANSIBLE_SSH_RETRIES", "connection.retries ssh_connection.retries"),
  sshArgs: setting("text", "ANSIBLE_SSH_ARGS", "ssh_connection.ssh_args"),
  sshCommonArgs: setting("text", "ANSIBLE_SSH_COMMON_ARGS", "ssh_connection.ssh_common_args"),
  sshExtraArgs: setting("text", "ANSIBLE_SSH_EXTRA_ARGS", "ssh_connection.ssh_extra_args"),
  askPass: setting("flag", "ANSIBLE_ASK_PASS", "defaults.ask_pass"),
  connectionPasswordFile: setting(
    "path",
    "ANSIBLE_CONNECTION_PASSWORD_FILE",
    "defaults.connection_password_file",
  ),

  become: setting("flag", "ANSIBLE_BECOME", "privilege_escalation.become"),
  becomeUser: setting(
    "text",
    "ANSIBLE_BECOME_USER ANSIBLE_SUDO_USER",
    "privilege_escalation.become_user sudo_become_plugin.user",
  ),
  becomeMethod: setting("text", "ANSIBLE_BECOME_METHOD", "privilege_escalation.become_method"),
  becomeExe: setting(
    "text",
    "ANSIBLE_BECOME_EXE ANSIBLE_SUDO_EXE",
    "privilege_escalation.become_exe sudo_become_plugin.executable",
  ),
  becomeFlags: setting(
    "text",
    "ANSIBLE_BECOME_FLAGS ANSIBLE_SUDO_FLAGS",
    "privilege_escalation.become_flags sudo_become_plugin.flags",
  ),
  becomeAskPass: setting("flag", "ANSIBLE_BECOME_ASK_PASS", "privilege_escalation.become_ask_pass"),
  becomePasswordFile: setting("path", "ANSIBLE_BECOME_PASSWORD_FILE", "defaults.become_password_file"),

  vaultPasswordFile: setting("path", "ANSIBLE_VAULT_PASSWORD_FILE", "defaults.vault_password_file"),
  vaultIdentityList: setting("words", "ANSIBLE_VAULT_IDENTITY_LIST", "defaults.vault_identity_list"),
  askVaultPass: setting("flag", "ANSIBLE_ASK_VAULT_PASS", "defaults.ask_vault_pass"),

  forks: setting("whole", "ANSIBLE_FORKS", "defaults.forks"),
  diffAlways: setting("flag", "ANSIBLE_DIFF_ALWAYS", "diff.always"),
  runTags: setting("words", "ANSIBLE_RUN_TAGS", "tags.run"),
  skipTags: setting("words", "ANSIBLE_SKIP_TAGS", "tags.skip"),
  verbosity: setting("whole", "ANSIBLE_VERBOSITY", "defaults.verbosity"),
  forceHandlers: setting("flag", "ANSIBLE_FORCE_HANDLERS", "defaults.force_handlers"),
  anyErrorsFatal: setting("flag", "ANSIBLE_ANY_ERRORS_FATAL", "defaults.any_errors_fatal"),
  strategy: setting("text", "ANSIBLE_STRATEGY", "defaults.strategy"),
  noLog: setting("flag", "ANSIBLE_NO_LOG", "defaults.no_log"),
  taskTimeout: setting("whole", "ANSIBLE_TASK_TIMEOUT", "defaults.task_timeout"),
  pollInterval: setting("whole", "ANSIBLE_POLL_INTERVAL", "defaults.poll_interval"),

  hashBehaviour: setting("text", "ANSIBLE_HASH_BEHAVIOUR", "defaults.hash_behaviour", ["replace", "merge"]),
  errorOnUndefinedVars: setting(
    "flag",
    "ANSIBLE_ERROR_ON_UNDEFINED_VARS",
    "defaults.error_on_undefined_vars",
  ),
  errorOnMissingHandler: setting(
    "flag",
    "ANSIBLE_ERROR_ON_MISSING_HANDLER",
    "defaults.error_on_missing_handler",
  ),
  jinja2Native: setting("flag", "ANSIBLE_JINJA2_NATIVE", "defaults.jinja2_native"),
  jinja2Extensions: setting("words", "ANSIBLE_JINJA2_EXTENSIONS", "defaults.jinja2_extensions"),
  ansibleManaged: setting("text", "", "defaults.ansible_managed"),
  gathering: setting("text", "ANSIBLE_GATHERING", "defaults.gathering", ["implicit", "explicit", "smart"]),
  gatherSubset: setting("words", "ANSIBLE_GATHER_SUBSET", "defaults.gather_subset"),
  gatherTimeout: setting("whole", "ANSIBLE_GATHER_TIMEOUT", "defaults.gather_timeout"),
  factPath: setting("text", "ANSIBLE_FACT_PATH", "defaults.fact_path"),
  factCaching: setting("text", "ANSIBLE_CACHE_PLUGIN", "defaults.fact_caching"),
  factCachingConnection: setting(
    "path",
    "ANSIBLE_CACHE_PLUGIN_CONNECTION",
    "defaults.fact_caching_connection",
  ),
  factCachingPrefix: setting("text", "ANSIBLE_CACHE_PLUGIN_PREFIX", "defaults.fact_caching_prefix"),
  factCachingTimeout: setting("whole", "ANSIBLE_CACHE_PLUGIN_TIMEOUT", "defaults.fact_caching_timeout"),
  injectFactsAsVars: setting("flag", "ANSIBLE_INJECT_FACT_VARS", "defaults.inject_facts_as_vars"),
  inventoryPlugins: setting("words", "ANSIBLE_INVENTORY_ENABLED", "inventory.enable_plugins"),
} as const satisfies Readonly<Record<string, KnownSetting>>;

/** Settings that change what Ansible does, and that Volley does not heed: they are named once. */
export const UNHEEDED: readonly Omit<KnownSetting, "type">[] = (
  [
    ["ANSIBLE_ACTION_PLUGINS", "defaults.action_plugins"],
    ["ANSIBLE_BECOME_PLUGINS", "defaults.become_plugins"],
    ["ANSIBLE_CONNECTION_PLUGINS", "defaults.connection_plugins"],
    ["ANSIBLE_FILTER_PLUGINS", "defaults.filter_plugins"],
    ["ANSIBLE_INVENTORY_PLUGINS", "defaults.inventory_plugins"],
    ["ANSIBLE_LOOKUP_PLUGINS", "defaults.lookup_plugins"],
    ["ANSIBLE_MODULE_UTILS", "defaults.module_utils"],
    ["ANSIBLE_STRATEGY_PLUGINS", "defaults.strategy_plugins"],
    ["ANSIBLE_TEST_PLUGINS", "defaults.test_plugins"],
    ["ANSIBLE_VARS_PLUGINS", "defaults.vars_plugins"],
    ["ANSIBLE_VARS_ENABLED", "defaults.vars_plugins_enabled"],
    ["", "defaults.plugin_filters_cfg"],
    ["ANSIBLE_DUPLICATE_YAML_DICT_KEY", "defaults.duplicate_dict_key"],
    ["ANSIBLE_ENABLE_TASK_DEBUGGER", "defaults.enable_task_debugger"],
    ["ANSIBLE_EXECUTABLE", "defaults.executable"],
    ["ANSIBLE_HOST_PATTERN_MISMATCH", "inventory.host_pattern_mismatch"],
    ["ANSIBLE_INVENTORY_CACHE", "inventory.cache"],
    ["ANSIBLE_INVENTORY_IGNORE", "defaults.inventory_ignore_extensions inventory.ignore_extensions"],
    ["ANSIBLE_INVENTORY_IGNORE_REGEX", "defaults.inventory_ignore_patterns inventory.ignore_patterns"],
    ["ANSIBLE_LOG_PATH", "defaults.log_path"],
    ["ANSIBLE_MODULE_ARGS", "defaults.module_args"],
    ["ANSIBLE_NULL_REPRESENTATION", "defaults.null_representation"],
    ["ANSIBLE_PKCS11_PROVIDER", "ssh_connection.pkcs11_provider"],
    ["ANSIBLE_PLAYBOOK_VARS_ROOT", "defaults.playbook_vars_root"],
    ["ANSIBLE_PRECEDENCE", "defaults.precedence"],
    ["ANSIBLE_PRIVATE_ROLE_VARS", "defaults.private_role_vars"],
    ["ANSIBLE_RUN_VARS_PLUGINS", "defaults.run_vars_plugins"],
    ["ANSIBLE_SCP_EXTRA_ARGS", "ssh_connection.scp_extra_args"],
    ["ANSIBLE_SFTP_EXTRA_ARGS", "ssh_connection.sftp_extra_args"],
    ["ANSIBLE_SSH_EXECUTABLE", "ssh_connection.ssh_executable"],
    ["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS", "defaults.force_valid_group_names"],
    ["ANSIBLE_VAULT_ID_MATCH", "defaults.vault_id_match"],
    ["ANSIBLE_VAULT_IDENTITY", "defaults.vault_identity"],
    ["ANSIBLE_YAML_FILENAME_EXT", "defaults.yaml_valid_extensions"],
  ] as const
).map(([env, ini]) => setting("text", env, ini));
