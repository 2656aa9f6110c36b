import type { Facts } from "../../core/facts.ts";
import type { Play } from "../../core/playbook.ts";
import type {
  LoopOptions,
  RoleDefinition,
  RoleUseOptions,
  TaskHandle,
  TasksContext,
} from "../../core/role.ts";

/** An entry of the reference: a type in TypeScript, and its purpose. */
export interface Entry {
  readonly type: string;
  readonly text: string;
  readonly required?: boolean;
}

type Entries<K extends string> = Readonly<Record<K, Entry>>;

/** Options of every task. */
export const taskOptions: Entries<keyof LoopOptions<unknown>> = {
  when: {
    type: "boolean | (() => boolean)",
    text: "The task is skipped unless this is true. A function, which may be async, is called when the task's turn comes; in a loop it is called with each item.",
  },
  notify: {
    type: "string | string[]",
    text: "Handlers to run at the end of the play if the task changes anything; `role:handler` names another role's.",
  },
  loop: {
    type: "Iterable<T>",
    text: "Items to do the task for. The action is then a function: `(item) => copy({ … })`. Templates see `item`. The other items are done even when one fails.",
  },
  label: {
    type: "(item: T) => string",
    text: "The name of an item on screen. Default: the item, or its `name`.",
  },
  tags: {
    type: "string | string[]",
    text: "Tags for `--tags` and `--skip-tags` to choose by. A task tagged `always` runs unless skipped by name, a task tagged `never` only when another of its tags is asked for.",
  },
  check: {
    type: "boolean",
    text: "`true`: only inspect; `false`: apply even in check mode. Default: as the run.",
  },
  become: {
    type: "boolean | string",
    text: "The user to do the task as; `true` is root, `false` the login user. Default: the role's user.",
  },
  delegateTo: {
    type: "string",
    text: "`controller`: perform the action on the machine that Volley runs on, as the user who runs Volley, once for each host. Declare such a task before any `await` and without asking for facts; a carried bundle has no controller. In a role with `delegates`: any host of the inventory, or `controller`, wherever the task is declared.",
  },
  ignoreErrors: { type: "boolean", text: "The role goes on when the task fails." },
  changedWhen: {
    type: "boolean | ((result) => boolean)",
    text: "Decides what counts as a change.",
  },
  failedWhen: {
    type: "boolean | ((result) => boolean)",
    text: "Decides what counts as a failure; called before `changedWhen`.",
  },
  until: {
    type: "(result) => boolean",
    text: "The task is done again until this is true, also after a failure; it fails when the tries are used up. `result.attempts` is their number.",
  },
  retries: {
    type: "number",
    text: "Number of tries after the first. Default 3 with `until`; without `until`, the task is tried again while it fails.",
  },
  delay: { type: "number", text: "Seconds between one try and the next. Default 5." },
  timeout: {
    type: "number",
    text: "Seconds the whole task may take, with every try and every item of a loop: then what it runs is ended, and it fails. What does not end by itself is killed after 5 s; code of an action that goes on all the same can do nothing more by its `system` after 10 s. Default: no limit.",
  },
  runOnce: {
    type: "boolean",
    text: "The task is done on the first host of the play's batch only. The others wait for it and are told what it came to: `changed`, `data` and the like answer as they do there. They fail when it failed; handlers are notified on that host alone. Their code is told all of it, secrets too, up to 32 MiB; what is shown stays masked.",
  },
  noLog: { type: "boolean", text: "Keeps output, diff and data out of events, journal and screen." },
  vars: { type: "Record<string, unknown>", text: "Template variables for this task alone." },
};

/** Properties of a task's handle. */
export const handleProperties: Entries<Exclude<keyof TaskHandle, "then">> = {
  name: { type: "string", text: "The task's name." },
  state: { type: '"unchanged" | "changed" | "skipped" | "failed"', text: "The task's result." },
  changed: { type: "boolean", text: "Whether the task changed anything, or would in check mode." },
  skipped: { type: "boolean", text: "Whether the task was skipped." },
  failed: {
    type: "boolean",
    text: "Whether the task failed, which a later task sees only with `ignoreErrors`.",
  },
  data: { type: "D", text: "The action's data; of a loop, a list with an entry per item." },
};

/** Keys of a play. */
export const playKeys: Entries<keyof Play> = {
  name: { type: "string", text: "The play's name on screen. Default: its pattern." },
  hosts: {
    type: "string",
    required: true,
    text: "A pattern: `web:&prod:!db`, `web[01:20]`, a glob, `~regex`.",
  },
  roles: {
    type: "RoleUse[]",
    text: "Roles in order, each called with its vars: `nginx({ gzip: true })`, `base()`. A second argument holds its options.",
  },
  tasks: {
    type: "(context) => void",
    text: "Tasks of the play itself, run after its roles, declared as a role declares its own; their assets lie beside the playbook.",
  },
  handlers: { type: "Record<string, ActionCall | ActionCall[]>", text: "Handlers of the play's own tasks." },
  vars: {
    type: "Record<string, unknown>",
    text: "Vars for every host of the play; over the inventory's, under those a role is given.",
  },
  hostVars: {
    type: "string[]",
    text: "Names of vars of other hosts that roles and templates of this play read as `hostVars`.",
  },
  become: {
    type: "boolean | string",
    text: "The user to become; `true` is root. Default: what the inventory says.",
  },
  strategy: {
    type: '"linear" | "free"',
    text: "`free`: a host goes on with the next play, unless that is serial or throttled, without waiting for the others. Default `linear`.",
  },
  serial: {
    type: 'number | "N%" | (number | "N%")[]',
    text: 'Hosts go in batches of this size: each goes through the whole play, handlers included, before the next begins. Of a list, one size after the other, the last for all that are left: `[1, 5, "50%"]`. A share is of the play\'s hosts, rounded down but never to none. A batch in which every host failed ends the run. Hosts that failed in an earlier play are in no batch.',
  },
  maxFailPercentage: {
    type: "number",
    text: "The run ends early when more than this share of a batch (without `serial`: of the play) failed, was unreachable or lost: hosts finish the task they are at, later batches and plays do not begin.",
  },
  anyErrorsFatal: {
    type: "boolean",
    text: "The run ends early as soon as one host failed, as with `maxFailPercentage: 0`.",
  },
  order: {
    type: '"inventory" | "reverse_inventory" | "sorted" | "reverse_sorted" | "shuffle"',
    text: "The order in which hosts begin. Default `inventory`. `shuffle` shows its seed, for `--seed`.",
  },
  throttle: { type: "number", text: "Hosts at work in this play at a time; `--forks` limits them too." },
  timeout: {
    type: "number",
    text: "Seconds a host may take for this play, connecting included. One that takes longer finishes the task it is at, for 10 s at most, and ends as failed with `TIMEOUT`. Default: what `--host-timeout` says, else no limit.",
  },
  waitForConnection: {
    type: "number",
    text: "Seconds to try again to connect to hosts that have this play first and are not there yet, such as machines that are just being made. Default 0: they are unreachable.",
  },
  tags: { type: "string | string[]", text: "Tags of every task of the play." },
};

/** Options of a role within a play. */
export const roleUseOptions: Entries<keyof RoleUseOptions> = {
  tags: { type: "string | string[]", text: "Tags of every task of the role." },
  when: {
    type: "boolean | ((context) => boolean)",
    text: "The role's tasks are skipped unless this is true. A function gets the role's context: `({ facts }) => facts.is_chroot`.",
  },
  become: {
    type: "boolean | string",
    text: "The user of its tasks and handlers; `true` is root, `false` the login user. Default: the play's.",
  },
};

/** Keys of a role. */
export const roleKeys: Entries<keyof RoleDefinition<unknown, string, unknown>> = {
  name: { type: "string", required: true, text: "Letters, digits, `.`, `-` and `_`." },
  doc: { type: "string", text: "The role's purpose." },
  vars: {
    type: "StandardSchemaV1",
    text: "A schema of its vars, made with valibot, zod, arktype or any other Standard Schema library. They are checked before the role's first task; host vars of the same names fill what the play does not give. Without a schema the role gets all vars, unchecked.",
  },
  facts: {
    type: "(system, facts) => F",
    text: "Custom facts, found out by reading the system before the role's tasks are declared. May be async.",
  },
  delegates: {
    type: "boolean",
    text: "Lets tasks be delegated to any host. Plays with the role are then carried out from the controller. Default: false.",
  },
  handlers: {
    type: "Record<string, ActionCall | ActionCall[]> | ((context) => …)",
    text: "Run once each at the end of the play, in the order declared here, when a task that changed something named them in `notify`.",
  },
  tasks: {
    type: "(context) => void",
    required: true,
    text: "Declares the tasks. May be async: `await` a task to decide by its result in plain TypeScript.",
  },
};

/** The context of a role's `tasks`. */
export const tasksContext: Entries<keyof TasksContext> = {
  task: {
    type: "(name, action, options?) => TaskHandle",
    text: "Declares a task. Awaiting it throws `TaskFailed` if the task fails.",
  },
  handler: {
    type: "(name, action, options?) => void",
    text: "Declares a handler with the options of a task, behind the role's other handlers.",
  },
  vars: { type: "V", text: "The role's vars, checked." },
  facts: { type: "Facts & F", text: "The host's facts, with those of the role's own `facts`." },
  host: {
    type: "{ name, groups, vars }",
    text: "The host: its name, its groups nearest first, and all of its vars.",
  },
  groups: {
    type: "Record<string, string[]>",
    text: "Every group of the inventory with the names of its hosts.",
  },
  hostVars: {
    type: "Record<string, Vars>",
    text: "The vars of other hosts that the play's `hostVars` asked for.",
  },
  check: { type: "boolean", text: "Whether this is check mode." },
  system: { type: "ReadSystem", text: "The machine, for reading; a read waits for the role's turn." },
  include: {
    type: "(use) => TaskHandle",
    text: 'Carries out a role in Ansible\'s YAML when its turn comes: `include(ansibleRole("geerlingguy.ntp"))`. Awaiting it gives a Result whose data are the registers and `set_fact` vars of tasks in YAML on this host; it throws `TaskFailed` if the role fails.',
  },
  jinja: {
    type: "Jinja",
    text: 'Templates in the role\'s code: `jinja.value("{{ port + 1 }}")`, `jinja.condition("port > 1024")`, `jinja.lookup`, `jinja.render`; `jinja.with(vars)` has more vars.',
  },
  flushHandlers: { type: "() => void", text: "Runs the handlers notified so far when its turn comes." },
  end: {
    type: '(part: "role" | "play") => never',
    text: "Ends the role, or the whole play, for this host. Nothing has failed; a play that is ended runs no handlers.",
  },
  log: { type: "(text: string) => void", text: "Shows a line." },
};

/** Descriptions of the facts. */
export const factTexts: Readonly<Record<keyof Facts, string>> = {
  hostname: "Host name up to the first dot.",
  fqdn: "Fully qualified host name.",
  domain: "The part of `fqdn` behind its first dot.",
  nodename: "The kernel's host name, unshortened.",
  system: "Kernel name: `Linux`.",
  kernel: "Kernel release.",
  kernel_version: "Kernel build.",
  architecture: "Processor architecture: `x86_64`, `aarch64`; `i386` for all of its kind.",
  machine: "Processor architecture as the kernel calls it.",
  userspace_architecture: "Processor architecture that programs are made for.",
  userspace_bits: "`64` or `32`.",
  machine_id: "Content of `/etc/machine-id`.",
  distribution: "`Debian`, `Ubuntu` …",
  distribution_version: "Version, such as `22.04`; of Debian the major version alone, such as `12`.",
  distribution_major_version: "The part of the version before its first dot.",
  distribution_minor_version: "The part behind it.",
  distribution_release: "Code name, such as `bookworm`; `NA` when there is none.",
  distribution_file_path: "The file the distribution was read from.",
  distribution_file_variety: "The kind of that file.",
  distribution_file_parsed: "Whether it could be read.",
  os_family: "`Debian` for Debian, Ubuntu and their kin; `RedHat` …",
  lsb: "`id`, `release`, `major_release`, `codename`, `description`.",
  pkg_mgr: "Package manager: `apt` …",
  service_mgr: "Name of process 1: `systemd` …",
  processor: "For each processor its number, vendor and model.",
  processor_count: "Sockets.",
  processor_cores: "Cores per socket.",
  processor_threads_per_core: "Threads per core.",
  processor_vcpus: "Threads in all.",
  processor_nproc: "Processors that a process may run on.",
  memtotal_mb: "Memory in MiB.",
  memfree_mb: "Unused memory in MiB.",
  swaptotal_mb: "Swap space in MiB.",
  swapfree_mb: "Unused swap space in MiB.",
  memory_mb: "MiB: `real`, `nocache` and `swap`, each with `total`, `used`, `free` as far as they apply.",
  uptime_seconds: "Seconds since boot.",
  loadavg: "Load averages `1m`, `5m`, `15m`.",
  virtualization_type: "`kvm`, `docker`, `lxc` …",
  virtualization_role: "`host`, `guest` or `NA`.",
  virtualization_tech_guest: "Every technology that the host is a guest of.",
  virtualization_tech_host: "Every technology that the host can be a host of.",
  system_vendor:
    "Maker. This and all down to `form_factor` is from the firmware, and `NA` where it does not say.",
  product_name: "Model.",
  product_version: "Version of the model.",
  product_serial: "Serial number, which only root can read.",
  product_uuid: "UUID, which only root can read.",
  bios_date: "Date of the firmware.",
  bios_vendor: "Maker of the firmware.",
  bios_version: "Version of the firmware.",
  board_name: "Main board.",
  board_vendor: "Maker of the main board.",
  board_version: "Its version.",
  board_serial: "Its serial number.",
  board_asset_tag: "Its asset tag.",
  chassis_vendor: "Maker of the case.",
  chassis_version: "Its version.",
  chassis_serial: "Its serial number.",
  chassis_asset_tag: "Its asset tag.",
  form_factor: "Chassis: `Notebook`, `Rack Mount Chassis` …",
  user_id: "Name of the user tasks run as.",
  user_uid: "Id of that user.",
  user_gid: "Id of that user's primary group.",
  user_gecos: "Full name of that user.",
  user_dir: "Home directory of that user.",
  user_shell: "Login shell of that user.",
  real_user_id: "Real user id of the process.",
  effective_user_id: "Effective user id of the process.",
  real_group_id: "Real group id of the process.",
  effective_group_id: "Effective group id of the process.",
  env: "Environment variables.",
  interfaces: "Names of the network interfaces.",
  network:
    "The interfaces by name: `device`, `macaddress`, `mtu`, `active`, `type`, `speed` (Mbit/s), `ipv4`, `ipv6` and more. Templates also see each as `ansible_NAME`.",
  default_ipv4:
    "Interface, gateway and address packets to the outside leave from; empty when there is no default route.",
  default_ipv6: "The same for IPv6.",
  all_ipv4_addresses: "IPv4 addresses, without those of the loopback interface.",
  all_ipv6_addresses: "IPv6 addresses, without those of the loopback interface.",
  dns: "`/etc/resolv.conf`: `nameservers`, `domain`, `search`, `options`.",
  mounts:
    "Mounted file systems: `device`, `mount`, `fstype`, `options`, `uuid`, `size_total` and `size_available` (bytes) and more.",
  selinux: "`status`, `mode`, `config_mode`, `type`.",
  apparmor: "`status`.",
  fips: "Whether the kernel is in FIPS mode.",
  is_chroot: "Whether this is a chroot.",
  cmdline: "Kernel command line, the last of each name.",
  date_time:
    "The host's clock when its facts were gathered: `date`, `time`, `epoch`, `iso8601` (UTC), `tz`, `weekday` and more, all strings.",
  ssh_host_key_rsa_public: "Public host key, without its type.",
  ssh_host_key_ecdsa_public: "Public host key, without its type.",
  ssh_host_key_ed25519_public: "Public host key, without its type.",
  ssh_host_key_rsa_public_keytype: "Type of the key.",
  ssh_host_key_ecdsa_public_keytype: "Type of the key.",
  ssh_host_key_ed25519_public_keytype: "Type of the key.",
  python: "The system's python3, if there is one: `executable`, `version.major`, `version.minor`.",
  python_version: "Its version.",
  local: "Contents of the files `/etc/ansible/facts.d/*.fact`, by their names without `.fact`.",
  local_skipped: "Files of `/etc/ansible/facts.d` left out because they are programs, which facts never run.",
};
