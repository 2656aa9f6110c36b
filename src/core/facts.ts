/** An IPv4 address of a network interface. */
export interface Ipv4Facts {
  readonly address: string;
  /** Empty on the loopback interface. */
  readonly broadcast: string;
  readonly netmask: string;
  readonly network: string;
  readonly prefix: string;
}

/** An IPv6 address of a network interface. */
export interface Ipv6Facts {
  readonly address: string;
  readonly prefix: string;
  /** `global`, `link`, `site` or `host`. */
  readonly scope: string;
}

/** A network interface, as `ansible_<interface>` shows it. */
export interface InterfaceFacts {
  readonly device: string;
  readonly macaddress?: string;
  readonly mtu?: number;
  readonly active: boolean;
  /** `ether`, `loopback`, `bridge`, `bonding`, `infiniband` or `unknown`. */
  readonly type: string;
  readonly promisc?: boolean;
  /** Mbit/s; -1 when the driver does not know. */
  readonly speed?: number;
  readonly pciid?: string;
  readonly module?: string;
  /** Of a bridge: the interfaces it joins. */
  readonly interfaces?: readonly string[];
  readonly ipv4?: Ipv4Facts;
  readonly ipv4_secondaries?: readonly Ipv4Facts[];
  readonly ipv6?: readonly Ipv6Facts[];
}

/** The interface and address packets to the outside leave from; empty when there is no default route. */
export interface DefaultRouteFacts {
  readonly interface?: string;
  readonly gateway?: string;
  readonly address?: string;
  readonly alias?: string;
  readonly broadcast?: string;
  readonly netmask?: string;
  readonly network?: string;
  readonly prefix?: string;
  readonly scope?: string;
  readonly macaddress?: string;
  readonly mtu?: number;
  readonly type?: string;
}

/** A mounted file system. Sizes are absent where only a process or a network could tell them. */
export interface MountFacts {
  readonly device: string;
  readonly mount: string;
  readonly fstype: string;
  readonly options: string;
  /** `N/A` when the file system has none that is known. */
  readonly uuid: string;
  /** Bytes. */
  readonly size_total?: number;
  /** Bytes an ordinary user can still write. */
  readonly size_available?: number;
  /** Bytes. */
  readonly block_size?: number;
  readonly block_total?: number;
  readonly block_available?: number;
  readonly block_used?: number;
  readonly inode_total?: number;
  readonly inode_available?: number;
  readonly inode_used?: number;
}

/** The host's clock and time zone when its facts were gathered. */
export interface DateTimeFacts {
  readonly year: string;
  readonly month: string;
  readonly day: string;
  readonly hour: string;
  readonly minute: string;
  readonly second: string;
  readonly weekday: string;
  /** `0` is Sunday. */
  readonly weekday_number: string;
  /** Weeks since the year's first Monday. */
  readonly weeknumber: string;
  readonly date: string;
  readonly time: string;
  /** Seconds since 1970. */
  readonly epoch: string;
  readonly epoch_int: string;
  /** UTC. */
  readonly iso8601: string;
  /** UTC, with microseconds. */
  readonly iso8601_micro: string;
  readonly iso8601_basic: string;
  readonly iso8601_basic_short: string;
  /** Abbreviation in use: `CET` in winter, `CEST` in summer. */
  readonly tz: string;
  /** The zone's abbreviation in summer; the same as `tz` in winter when it has no summer time. */
  readonly tz_dst: string;
  readonly tz_offset: string;
}

/** Memory in MiB, as `ansible_memory_mb` shows it. */
export interface MemoryFacts {
  readonly real: { readonly total: number; readonly used: number; readonly free: number };
  readonly nocache: { readonly free: number; readonly used: number };
  readonly swap: {
    readonly total: number;
    readonly free: number;
    readonly used: number;
    readonly cached: number;
  };
}

/** The python3 of the system, for roles that ask; `micro` is not known without running it. */
export interface PythonFacts {
  readonly executable: string;
  readonly type: "cpython";
  readonly version: { readonly major: number; readonly minor: number };
}

/** Facts of a host before its tasks run, under the names of Ansible's `setup` (less the `ansible_` prefix, which templates have too). */
export interface Facts {
  /** Up to the first dot. */
  readonly hostname: string;
  readonly fqdn: string;
  readonly domain: string;
  /** The kernel's host name, unshortened. */
  readonly nodename: string;
  readonly system: string;
  readonly kernel: string;
  readonly kernel_version: string;
  readonly architecture: string;
  readonly machine: string;
  readonly userspace_architecture: string;
  readonly userspace_bits: string;
  readonly machine_id?: string;
  readonly distribution: string;
  /** Of Debian the major version alone, as its os-release has it. */
  readonly distribution_version: string;
  readonly distribution_major_version: string;
  /** Of Debian the point release. */
  readonly distribution_minor_version?: string;
  /** The code name, such as `bookworm`; `NA` when there is none. */
  readonly distribution_release: string;
  readonly distribution_file_path: string;
  readonly distribution_file_variety: string;
  readonly distribution_file_parsed: boolean;
  readonly os_family: string;
  readonly lsb: {
    readonly id?: string;
    readonly release?: string;
    readonly major_release?: string;
    readonly codename?: string;
    readonly description?: string;
  };
  readonly pkg_mgr: string;
  readonly service_mgr: string;
  /** For each processor its number, vendor and model. */
  readonly processor: readonly string[];
  /** Sockets. */
  readonly processor_count: number;
  /** Per socket. */
  readonly processor_cores: number;
  readonly processor_threads_per_core: number;
  readonly processor_vcpus: number;
  /** Processors this process may run on. */
  readonly processor_nproc: number;
  readonly memtotal_mb: number;
  readonly memfree_mb: number;
  readonly swaptotal_mb: number;
  readonly swapfree_mb: number;
  readonly memory_mb: MemoryFacts;
  readonly uptime_seconds: number;
  readonly loadavg: Readonly<Record<"1m" | "5m" | "15m", number>>;
  readonly virtualization_type: string;
  readonly virtualization_role: string;
  readonly virtualization_tech_guest: readonly string[];
  readonly virtualization_tech_host: readonly string[];
  /** From the firmware; `NA` where it does not say. */
  readonly system_vendor: string;
  readonly product_name: string;
  readonly product_version: string;
  readonly product_serial: string;
  readonly product_uuid: string;
  readonly bios_date: string;
  readonly bios_vendor: string;
  readonly bios_version: string;
  readonly board_name: string;
  readonly board_vendor: string;
  readonly board_version: string;
  readonly board_serial: string;
  readonly board_asset_tag: string;
  readonly chassis_vendor: string;
  readonly chassis_version: string;
  readonly chassis_serial: string;
  readonly chassis_asset_tag: string;
  readonly form_factor: string;
  readonly user_id: string;
  readonly user_uid: number;
  readonly user_gid: number;
  readonly user_gecos: string;
  readonly user_dir: string;
  readonly user_shell: string;
  readonly real_user_id: number;
  readonly effective_user_id: number;
  readonly real_group_id: number;
  readonly effective_group_id: number;
  readonly env: Readonly<Record<string, string>>;
  readonly interfaces: readonly string[];
  readonly network: Readonly<Record<string, InterfaceFacts>>;
  readonly default_ipv4: DefaultRouteFacts;
  readonly default_ipv6: DefaultRouteFacts;
  readonly all_ipv4_addresses: readonly string[];
  readonly all_ipv6_addresses: readonly string[];
  readonly dns: {
    readonly nameservers?: readonly string[];
    readonly domain?: string;
    readonly search?: readonly string[];
    readonly options?: Readonly<Record<string, string | true>>;
  };
  readonly mounts: readonly MountFacts[];
  readonly selinux: {
    readonly status: string;
    readonly mode?: string;
    readonly config_mode?: string;
    readonly type?: string;
  };
  readonly apparmor: { readonly status: string };
  readonly fips: boolean;
  readonly is_chroot: boolean;
  /** Kernel command line, the last of each name. */
  readonly cmdline: Readonly<Record<string, string | true>>;
  readonly date_time: DateTimeFacts;
  readonly ssh_host_key_rsa_public?: string;
  readonly ssh_host_key_ecdsa_public?: string;
  readonly ssh_host_key_ed25519_public?: string;
  /** Such as `ssh-rsa`. */
  readonly ssh_host_key_rsa_public_keytype?: string;
  readonly ssh_host_key_ecdsa_public_keytype?: string;
  readonly ssh_host_key_ed25519_public_keytype?: string;
  readonly python?: PythonFacts;
  readonly python_version?: string;
  /** Facts of `/etc/ansible/facts.d/*.fact` files and of the roles' own `facts`. */
  readonly local: Readonly<Record<string, unknown>>;
  /** Files of `/etc/ansible/facts.d` left out because they are programs, which facts never run. */
  readonly local_skipped: readonly string[];
}
