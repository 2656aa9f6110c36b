/** The source of a part, and when a bundle holds it. */
interface PartRule {
  /** The file below `src/` whose exports are the part's. A part whose file is not there is not built. */
  readonly entry: string;
  /** The bundle holds the part only if it is carried to its hosts, or with this text in the compiled playbook, or anywhere: also in an asset or the hosts' vars. Absent: always. */
  readonly rides?: "carried" | { readonly text: string | TextTest; readonly within: "code" | "anything" };
  /** The part behind whose code this one is packed: together they are smaller. Only for parts that every bundle holds. */
  readonly within?: string;
  /** The file below `src/` that lists the files which the part takes from another part. */
  readonly borrows?: { readonly list: string; readonly from: string };
}

/** The filters, tests and lookups of `template/more/`, which the tests compare with what is there. */
export const SELDOM_USED = {
  filters: `wordwrap xmlattr urlize filesizeformat random shuffle password_hash type5_pw to_uuid counter dict dict_kv
    from_csv groupby_as_dict lists_mergeby lists_union lists_intersect lists_difference lists_symmetric_difference
    keep_keys remove_keys replace_keys to_paths get_path index_of version_sort rekey_on_member to_time_unit
    to_milliseconds to_seconds to_minutes to_hours to_days to_weeks to_months to_years expandvars fileglob win_splitdrive
    random_mac crc32 unicode_normalize split_pem vault unvault ipaddr ipv4 ipv6 ipwrap ipmath ipsubnet nthhost
    next_nth_usable previous_nth_usable network_in_usable network_in_network reduce_on_network cidr_merge usable_range
    ip4_hex hwaddr macaddr slaac json_query`,
  tests: `mount is_mount same_file is_same_file uri url urn vault_encrypted ip ip_address ipv4 ipv4_address ipv4_netmask
    ipv4_hostmask ipv6 ipv6_address ipv6_ipv4_mapped ipv6_sixtofour ipv6_teredo loopback mac multicast private public
    reserved unspecified in_network subnet_of supernet_of in_any_network in_one_network`,
  lookups: `csvfile ini password filetree lines url unvault config random_choice random_string inventory_hostnames`,
} as const;

/** Tells texts of one kind from others, as a RegExp does. */
export interface TextTest {
  test(text: string): boolean;
}

/**
 * Make the test for texts that use something of `template/more/`. Blanks may stand in a text as code has them. The
 * patterns find names, which are then looked up: V8 takes 10 ms to make a pattern of all names.
 */
function seldomUsed(): TextTest {
  const setOf = (...names: readonly string[]): ReadonlySet<string> =>
    new Set(names.flatMap((text) => text.trim().split(/\s+/)));
  const filters = setOf(SELDOM_USED.filters);
  const tests = setOf(SELDOM_USED.tests);
  const lookups = setOf(SELDOM_USED.lookups);
  const either = setOf(SELDOM_USED.filters, SELDOM_USED.tests);
  const blanks = "(?:\\s|\\\\n)*";
  const name = "(\\w+(?:\\.\\w+)*)";
  // Matches end before the name: one name may follow another.
  const used = [
    [new RegExp(`\\|(?=${blanks}${name})`, "g"), filters],
    [new RegExp(`\\bis(?=${blanks}(?:not\\b${blanks})?${name})`, "g"), tests],
    [new RegExp(`\\b(?:lookup|query|q)\\((?=${blanks}\\\\?['"]${name})`, "g"), lookups],
    [new RegExp(`\\bwith_(?=${name})`, "g"), lookups],
  ] as const;
  const listed = /\b(?:map|select|reject|selectattr|rejectattr)\((?=([^()]*))/g;
  const quoted = new RegExp(`['"](?=${name})`, "g");
  const uses = (text: string, pattern: RegExp, names: ReadonlySet<string>): boolean => {
    for (const [, found = ""] of text.matchAll(pattern)) {
      // By its own name, or by that of its collection.
      const [own = "", , ofCollection = ""] = found.split(".");
      if (names.has(own) || names.has(ofCollection)) return true;
    }
    return false;
  };
  return {
    test: (text) =>
      used.some(([pattern, names]) => uses(text, pattern, names)) ||
      [...text.matchAll(listed)].some(([, given = ""]) => uses(given, quoted, either)) ||
      /\bversion_type\b|\bversion\([^)]*strict/.test(text),
  };
}

/**
 * The parts of a bundle that are the same for every playbook of a version of Volley, packed with Brotli when Volley is
 * built. `agent/parts.ts` loads all but the runner, ahead of the job or at their first use. Actions ride by themselves:
 * see `actions.ts`.
 */
export const PARTS = {
  runner: { entry: "agent/main.ts" },
  template: { entry: "template/index.ts", within: "runner" },
  // The filters from_yaml and from_yaml_all alone need it, and it is a fifth of a bundle.
  yaml: { entry: "yaml/document.ts", rides: { text: "from_yaml", within: "anything" } },
  "template-more": {
    entry: "template/more/index.ts",
    rides: { text: seldomUsed(), within: "anything" },
    borrows: { list: "template/lent.ts", from: "template" },
  },
  local: { entry: "agent/local/command-line.ts", rides: "carried" },
  ansible: { entry: "ansible/index.ts", rides: { text: 'require("volley/ansible")', within: "code" } },
} as const satisfies Readonly<Record<string, PartRule>>;

/** The name of a part: `runner`, … */
export type PartName = keyof typeof PARTS;

/** The parts by name, with their rules. */
export const PART_RULES = Object.entries(PARTS) as readonly (readonly [PartName, PartRule])[];

/** What Volley itself puts into bundles. */
export interface OwnParts {
  /** Text without apostrophes. */
  readonly bootstrap: Buffer;
  /** The {@link PARTS}, packed. */
  readonly parts: Readonly<Partial<Record<PartName, Buffer>>>;
  /** All actions, as JSON: {@link ActionModules}. */
  readonly actions: Buffer;
  /** True for the installed package, whose parts are packed as tightly as possible; false for parts built from source in a moment. */
  readonly isTight: boolean;
}

/** The actions as modules, one for each source file: a bundle holds those that its playbook reaches. */
export interface ActionModules {
  /** The module that defines each action. */
  readonly actions: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, ActionModule>>;
}

/** One file of source. */
export interface ActionModule {
  /** A function that is given `require`, and returns the exports. */
  readonly code: string;
  /** The other modules that it imports. */
  readonly needs: readonly string[];
}
