import { VolleyError } from "../../core/errors.ts";

// The subsets of facts that `gather_subset` names, as Ansible has them.

/** Facts of the system, which other facts are made from. */
const PLATFORM = [
  ...["architecture", "domain", "fqdn", "hostname", "kernel", "kernel_version", "machine", "machine_id"],
  ...["nodename", "python_version", "system", "userspace_architecture", "userspace_bits"],
];
const DISTRIBUTION = [
  ...["distribution", "distribution_file_parsed", "distribution_file_path", "distribution_file_variety"],
  ...["distribution_major_version", "distribution_minor_version", "distribution_release"],
  ...["distribution_version", "os_family"],
];
const USER = [
  ...["effective_group_id", "effective_user_id", "real_group_id", "real_user_id", "user_dir", "user_gecos"],
  ...["user_gid", "user_id", "user_shell", "user_uid"],
];
const SSH_KEYS = ["dsa", "ecdsa", "ed25519", "rsa"].flatMap((kind) => [
  `ssh_host_key_${kind}_public`,
  `ssh_host_key_${kind}_public_keytype`,
]);

/** The subsets that are gathered unless `!min` is given, with their facts. */
const MIN: Readonly<Record<string, readonly string[]>> = {
  apparmor: ["apparmor"],
  caps: ["system_capabilities", "system_capabilities_enforced"],
  cmdline: ["cmdline", "proc_cmdline"],
  date_time: ["date_time"],
  distribution: [...PLATFORM, ...DISTRIBUTION],
  dns: ["dns"],
  env: ["env"],
  fips: ["fips"],
  local: ["local"],
  lsb: ["lsb"],
  pkg_mgr: [...PLATFORM, ...DISTRIBUTION, "pkg_mgr"],
  platform: PLATFORM,
  python: ["python"],
  selinux: ["selinux", "selinux_python_present"],
  service_mgr: [...PLATFORM, ...DISTRIBUTION, "service_mgr"],
  ssh_pub_keys: SSH_KEYS,
  user: USER,
};

/** The other subsets. */
const MORE: Readonly<Record<string, readonly string[]>> = {
  chroot: ["is_chroot"],
  facter: [],
  fibre_channel_wwn: ["fibre_channel_wwn"],
  hardware: [
    ...PLATFORM,
    ...["bios_date", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial"],
    ...["board_vendor", "board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor"],
    ...["chassis_version", "device_links", "devices", "form_factor", "lvm", "memfree_mb", "memory_mb"],
    ...["memtotal_mb", "mounts", "processor", "processor_cores", "processor_count", "processor_nproc"],
    ...["processor_threads_per_core", "processor_vcpus", "product_name", "product_serial", "product_uuid"],
    ...["product_version", "swapfree_mb", "swaptotal_mb", "system_vendor", "uptime_seconds"],
  ],
  iscsi: ["iscsi_iqn"],
  loadavg: ["loadavg"],
  network: [...PLATFORM, ...DISTRIBUTION, "all_ipv4_addresses", "all_ipv6_addresses", "default_ipv4"].concat(
    "default_ipv6",
    "interfaces",
  ),
  nvme: ["hostnqn"],
  ohai: [],
  virtual: [
    ...["virtualization_role", "virtualization_tech_guest", "virtualization_tech_host"],
    "virtualization_type",
  ],
};

/** Single facts that are names of subsets, too. */
const ALIASES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries({ ...MORE, ...MIN }).flatMap(([name, of]) => of.map((one) => [one, name])),
  ),
  ...Object.fromEntries(PLATFORM.map((name) => [name, "platform"])),
  ...Object.fromEntries(DISTRIBUTION.map((name) => [name, "distribution"])),
};

/** Return the names of the subsets that `gather_subset` asks for; undefined for all of them. */
function wantedSubsets(words: readonly string[]): ReadonlySet<string> | undefined {
  const known = new Set(["all", "min", ...Object.keys(MIN), ...Object.keys(MORE)]);
  const read = (word: string): string => {
    const name = known.has(word) ? word : ALIASES[word];
    if (name !== undefined) return name;
    const allowed = [...new Set([...known, ...Object.keys(ALIASES)])].sort().join(", ");
    throw new VolleyError(
      "PARAMS_INVALID",
      `Bad subset '${word}' given to Ansible. gather_subset options allowed: ${allowed}`,
    );
  };
  const given = words.map((word) => word.trim()).filter((word) => word !== "");
  const added = given.filter((word) => !word.startsWith("!")).map(read);
  const dropped = new Set(given.filter((word) => word.startsWith("!")).map((word) => read(word.slice(1))));
  if (given.length === 0 || (added.includes("all") && dropped.size === 0)) return undefined;
  const names = (group: string): readonly string[] =>
    group === "all"
      ? [...Object.keys(MIN), ...Object.keys(MORE)]
      : group === "min"
        ? Object.keys(MIN)
        : [group];
  const wanted = new Set([...(dropped.has("min") ? [] : Object.keys(MIN)), ...added.flatMap(names)]);
  for (const name of dropped)
    if (name !== "all" && name !== "min" && !added.includes(name)) wanted.delete(name);
  return wanted;
}

/** Return the facts of the subsets that are asked for. Fails with `PARAMS_INVALID` for an unknown one. */
export function factsOfSubsets(
  all: Readonly<Record<string, unknown>>,
  words: readonly string[],
): Record<string, unknown> {
  const subsets = wantedSubsets(words);
  if (subsets === undefined) return { ...all };
  const { ansible_interfaces: interfaces } = all;
  const ofInterfaces = Array.isArray(interfaces)
    ? interfaces.map((name) => String(name).replace(/[-:.]/g, "_"))
    : [];
  const wanted = new Set(
    [...subsets].flatMap((name) => [
      ...(MIN[name] ?? MORE[name] ?? []),
      ...(name === "network" ? ofInterfaces : []),
    ]),
  );
  for (const name of ["gather_subset", "module_setup"]) wanted.add(name);
  const facts = Object.entries(all).filter(([name]) => wanted.has(name.replace(/^ansible_/, "")));
  return { ...Object.fromEntries(facts), gather_subset: words };
}
