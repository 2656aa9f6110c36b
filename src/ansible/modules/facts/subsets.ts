import { VolleyError } from "../../../core/errors.ts";

// Which facts `gather_subset` asks for: collectors, what they give and what they need.

interface Collector {
  /** Names of its facts without `ansible_`; with `*` at the end for all that begin so. */
  readonly gives: readonly string[];
  readonly needs?: readonly string[];
  /** Other words for it. */
  readonly also?: readonly string[];
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const COLLECTORS: Readonly<Record<string, Collector>> = {
  apparmor: { gives: ["apparmor"] },
  caps: { gives: ["system_capabilities*"], also: words("system_capabilities system_capabilities_enforced") },
  chroot: { gives: ["is_chroot"], also: ["is_chroot"] },
  cmdline: { gives: words("cmdline proc_cmdline") },
  date_time: { gives: ["date_time"] },
  distribution: {
    gives: words("distribution* os_family"),
    also: words("distribution_major_version distribution_release distribution_version os_family"),
  },
  dns: { gives: ["dns"] },
  env: { gives: ["env"] },
  facter: { gives: ["facter*"] },
  fibre_channel_wwn: { gives: ["fibre_channel_wwn"] },
  fips: { gives: ["fips"] },
  hardware: {
    gives: words(
      `bios_* board_* chassis_* device_links devices form_factor lvm memfree_mb memory_mb memtotal_mb mounts
      processor* product_* swapfree_mb swaptotal_mb system_vendor uptime_seconds`,
    ),
    needs: ["platform"],
    also: words("devices mounts processor processor_cores processor_count"),
  },
  iscsi: { gives: ["iscsi_iqn"] },
  loadavg: { gives: ["loadavg"] },
  local: { gives: ["local"] },
  lsb: { gives: ["lsb"] },
  network: {
    gives: words("all_ipv4_addresses all_ipv6_addresses default_ipv4 default_ipv6 interfaces"),
    needs: ["platform", "distribution"],
    also: words("all_ipv4_addresses all_ipv6_addresses default_ipv4 default_ipv6 interfaces"),
  },
  nvme: { gives: ["hostnqn"] },
  ohai: { gives: ["ohai*"] },
  pkg_mgr: { gives: ["pkg_mgr"], needs: ["distribution"] },
  platform: {
    gives: words(
      `architecture domain fqdn hostname kernel kernel_version machine machine_id nodename python_version system
      userspace_architecture userspace_bits`,
    ),
    also: words("architecture kernel kernel_version machine machine_id python_version system"),
  },
  python: { gives: ["python"] },
  selinux: { gives: ["selinux*"] },
  service_mgr: { gives: ["service_mgr"], needs: ["platform", "distribution"] },
  ssh_pub_keys: {
    gives: ["ssh_host_key_*"],
    also: words(
      `ssh_host_key_dsa_public ssh_host_key_ecdsa_public ssh_host_key_ed25519_public ssh_host_key_rsa_public
      ssh_host_pub_keys`,
    ),
  },
  user: {
    gives: words("effective_group_id effective_user_id real_group_id real_user_id user_*"),
    also: words(
      "effective_group_ids effective_user_id real_user_id user_dir user_gecos user_gid user_id user_shell user_uid",
    ),
  },
  virtual: {
    gives: ["virtualization_*"],
    also: words("virtualization_role virtualization_tech_guest virtualization_tech_host virtualization_type"),
  },
};

/** The collectors that work unless `!min` is said. */
const MIN = words(
  `apparmor caps cmdline date_time distribution dns env fips local lsb pkg_mgr platform python selinux service_mgr
  ssh_pub_keys user`,
);

const BY_WORD: ReadonlyMap<string, string> = new Map(
  Object.entries(COLLECTORS).flatMap(([name, { also = [] }]) => [name, ...also].map((word) => [word, name])),
);

/** Return the names of the collectors that the words of `gather_subset` ask for. Fails with `PARAMS_INVALID` for a word that nobody knows. */
export function collectorsOf(subset: readonly string[]): ReadonlySet<string> {
  const wanted = new Set<string>();
  const unwanted = new Set<string>();
  let min = true;
  // As in Ansible, a subset that only says what is not wanted leaves `min`.
  let all = false;
  for (const written of subset) {
    const isOff = written.startsWith("!");
    const word = written.slice(isOff ? 1 : 0);
    if (word === "all") {
      if (isOff) for (const name of Object.keys(COLLECTORS)) if (!MIN.includes(name)) unwanted.add(name);
      all ||= !isOff;
    } else if (word === "min") {
      if (isOff) min = false;
    } else {
      const name = BY_WORD.get(word);
      if (name === undefined) throw new VolleyError("PARAMS_INVALID", badSubset(word));
      (isOff ? unwanted : wanted).add(name);
    }
  }
  const chosen = new Set([...(all ? Object.keys(COLLECTORS) : []), ...(min ? MIN : [])]);
  for (const name of unwanted) chosen.delete(name);
  if (!min) for (const name of MIN) chosen.delete(name);
  for (const name of wanted) chosen.add(name);
  for (const name of [...chosen]) for (const need of COLLECTORS[name]!.needs ?? []) chosen.add(need);
  return chosen;
}

function badSubset(word: string): string {
  return `Bad subset '${word}' given to Ansible. gather_subset options allowed: ${["all", ...BY_WORD.keys()].sort().join(", ")}`;
}

/** Tell whether a fact, without `ansible_`, belongs to one of some collectors; `interfaces` are the names of facts about networks. */
export function isCollected(
  fact: string,
  collectors: ReadonlySet<string>,
  interfaces: ReadonlySet<string>,
): boolean {
  const fits = (name: string): boolean =>
    name.endsWith("*") ? fact.startsWith(name.slice(0, -1)) : name === fact;
  const owner = Object.entries(COLLECTORS).find(([, { gives }]) => gives.some(fits))?.[0];
  if (owner !== undefined) return collectors.has(owner);
  return interfaces.has(fact) ? collectors.has("network") : true;
}
