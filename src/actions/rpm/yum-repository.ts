import { posix } from "node:path";
import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import type { Diff } from "../../core/result.ts";
import { defineAction } from "../define.ts";
import { fileAttributes, oneOf, text } from "../shared/params.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

function option(description: string) {
  return v.optional(v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.description(description)));
}

function answer(description: string) {
  return v.optional(v.pipe(v.boolean(), v.description(description)));
}

function list(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.transform((value): readonly string[] => (typeof value === "string" ? value.split(",") : value)),
      v.description(description),
    ),
  );
}

/** The parameters that are options of a repository, by the names they have in its file. */
const options = {
  async: answer("Fetch metadata and packages of several repositories at once."),
  bandwidth: option("Bandwidth that `throttle` is a part of."),
  baseurl: list("URLs of the repository."),
  cost: option("Cost of the repository against others."),
  deltarpm_metadata_percentage: option("Size of delta metadata up to which it is fetched."),
  deltarpm_percentage: option("Size of a delta up to which it is used."),
  enabled: answer("Use the repository."),
  enablegroups: answer("Use the repository's groups."),
  exclude: list("Packages of the repository to leave alone."),
  failovermethod: v.optional(
    v.pipe(v.picklist(["roundrobin", "priority"]), v.description("The order in which URLs are tried.")),
  ),
  gpgcakey: option("URL of the key that signs keys."),
  gpgcheck: answer("Verify the packages' signatures."),
  gpgkey: list("URLs of the keys."),
  http_caching: v.optional(
    v.pipe(v.picklist(["all", "packages", "none"]), v.description("What HTTP caches may answer.")),
  ),
  include: option("Another file of options."),
  includepkgs: list("The only packages of the repository to use."),
  ip_resolve: v.optional(
    v.pipe(v.picklist(["4", "6", "IPv4", "IPv6", "whatever"]), v.description("The version of IP.")),
  ),
  keepalive: answer("Keep HTTP connections open."),
  keepcache: v.optional(v.pipe(v.picklist(["0", "1"]), v.description("Keep downloaded packages."))),
  metadata_expire: option("Seconds, or another span, for which metadata stay valid."),
  metadata_expire_filter: v.optional(
    v.pipe(
      v.picklist(["never", "read-only:past", "read-only:present", "read-only:future"]),
      v.description("Commands for which metadata may be out of date."),
    ),
  ),
  metalink: option("URL of a metalink file."),
  mirrorlist: option("URL of a list of mirrors."),
  mirrorlist_expire: option("Seconds for which the list of mirrors stays valid."),
  module_hotfixes: answer("Let the repository's packages replace those of modules."),
  password: option("Password for the repository."),
  priority: option("Priority of the repository; lower goes first."),
  protect: answer("Protect the repository's packages from others."),
  proxy: option("URL of the proxy, or `_none_`."),
  proxy_password: option("Password for the proxy."),
  proxy_username: option("User name for the proxy."),
  repo_gpgcheck: answer("Verify the metadata's signature."),
  retries: option("How often a download is tried again."),
  s3_enabled: answer("Take the repository from Amazon S3."),
  skip_if_unavailable: answer("Go on without the repository when it does not answer."),
  ssl_check_cert_permissions: answer("Check who may read the certificates."),
  sslcacert: option("Path of the authorities' certificates."),
  sslclientcert: option("Path of the client's certificate."),
  sslclientkey: option("Path of the client's key."),
  sslverify: answer("Verify the server's certificate."),
  throttle: option("Limit of the bandwidth."),
  timeout: option("Seconds to wait for a connection."),
  ui_repoid_vars: option("Variables to show beside the repository's name."),
  username: option("User name for the repository."),
} as const;

const params = v.pipe(
  v.strictObject({
    name: text("Id of the repository: the section of its file."),
    description: v.optional(v.pipe(v.string(), v.description("Name of the repository, for people."))),
    file: v.optional(
      v.pipe(v.string(), v.nonEmpty(), v.description("Name of the file, without `.repo`. Default: `name`.")),
    ),
    reposdir: v.optional(
      v.pipe(v.string(), v.nonEmpty(), v.description("The directory of the file.")),
      "/etc/yum.repos.d",
    ),
    state: oneOf(
      ["present", "absent"],
      "present",
      "`absent` removes the repository, and a file without any.",
    ),
    ...options,
    ...fileAttributes,
    attributes: v.optional(v.pipe(v.string(), v.description("Accepted and ignored."))),
    unsafe_writes: answer("Accepted and ignored."),
    selevel: v.optional(v.pipe(v.string(), v.description("Accepted and ignored."))),
    serole: v.optional(v.pipe(v.string(), v.description("Accepted and ignored."))),
    setype: v.optional(v.pipe(v.string(), v.description("Accepted and ignored."))),
    seuser: v.optional(v.pipe(v.string(), v.description("Accepted and ignored."))),
  }),
  v.check(
    ({ state, description }) => state === "absent" || description !== undefined,
    "Parameter 'description' is required.",
  ),
  v.check(
    ({ state, baseurl, metalink, mirrorlist }) =>
      state === "absent" || (baseurl ?? metalink ?? mirrorlist) !== undefined,
    "Parameter 'baseurl', 'metalink' or 'mirrorlist' is required.",
  ),
);

type Params = v.InferOutput<typeof params>;

/** The data of a yum_repository task. */
interface RepositoryData {
  readonly repo: string;
  readonly state: "present" | "absent";
}

interface RepositoryChange extends Change {
  readonly file: FileChange | null;
  /** The file without any repository, which goes. */
  readonly removed: string | null;
  readonly data: RepositoryData;
}

/** Add or remove a repository of yum and dnf. */
export const yum_repository = defineAction<typeof params, RepositoryChange, RepositoryData>({
  name: "yum_repository",
  doc: `Add or remove a repository of yum and dnf, in a file of \`/etc/yum.repos.d\`.

The repository's section is written whole, with its options in alphabetical order; other sections of the file stay as they are. Parameters that are not given are not written, so that yum's own defaults hold.`,
  params,
  aliases: {
    ca_cert: "sslcacert",
    client_cert: "sslclientcert",
    client_key: "sslclientkey",
    validate_certs: "sslverify",
    attr: "attributes",
  },
  examples: [
    {
      name: "epel",
      description: "EPEL",
      baseurl: "https://download.fedoraproject.org/pub/epel/$releasever/$basearch/",
      gpgcheck: true,
      gpgkey: "https://download.fedoraproject.org/pub/epel/RPM-GPG-KEY-EPEL-9",
    },
    { name: "epel", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const { name, state, reposdir, file = name } = params;
    const path = posix.join(reposdir, `${file}.repo`);
    const data: RepositoryData = { repo: name, state };
    const before = (await system.readIfExists(path))?.toString("utf8") ?? null;
    const sections = splitSections(before ?? "");
    const index = sections.findIndex((section) => section.name === name);
    if (state === "absent") {
      if (index === -1) return unchanged(data);
      const rest = sections.toSpliced(index, 1);
      if (rest.every((section) => section.name === null)) {
        const diff: Diff = { path, before, after: null };
        return { file: null, removed: path, data, diff: hidePasswords(diff) };
      }
      const content = rest.map((section) => section.text).join("");
      const change = await inspectFile({ system, context, path, content });
      return change === null
        ? unchanged(data)
        : { file: change, removed: null, data, diff: hidePasswords(change.diff) };
    }
    const wanted = optionsOf(params);
    const isSame = index !== -1 && sameOptions(parseOptions(sections[index]!.text), wanted);
    const section = { name, text: formatSection(name, wanted) };
    const lined = before === null || before === "" || before.endsWith("\n") ? "" : "\n";
    const after = isSame
      ? (before ?? "")
      : index === -1
        ? `${before ?? ""}${lined}${section.text}`
        : sections
            .with(index, section)
            .map((each) => each.text)
            .join("");
    const { owner, group, mode } = params;
    const change = await inspectFile({ system, context, path, content: after, owner, group, mode });
    if (change === null) return unchanged(data);
    return { file: change, removed: null, data, diff: hidePasswords(change.diff) };
  },

  async apply({ file, removed, data }, _params, system) {
    if (removed !== null) await system.remove(removed);
    if (file !== null) await applyFile(file, system);
    return { data } satisfies Applied<RepositoryData>;
  },
});

interface Section {
  /** Null for what stands before the first section. */
  readonly name: string | null;
  readonly text: string;
}

function splitSections(content: string): readonly Section[] {
  return content
    .split(/^(?=\[)/m)
    .filter((part) => part !== "")
    .map((part) => ({ name: /^\[([^\]]+)\]/.exec(part)?.[1] ?? null, text: part }));
}

/** Parse a section's options; the lines of a value that goes on are joined by line ends. */
function parseOptions(section: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let last: string | undefined;
  for (const line of section.split("\n").slice(1)) {
    if (/^\s*(?:[#;]|$)/.test(line)) continue;
    const [, key, value] = /^([^\s=:][^=:]*?)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (/^\s/.test(line) && last !== undefined) found.set(last, `${found.get(last)}\n${line.trim()}`);
    else if (key !== undefined) {
      last = key.toLowerCase();
      found.set(last, (value ?? "").trim());
    }
  }
  return found;
}

const SPACED: readonly string[] = ["exclude", "includepkgs"];

function optionsOf(params: Params): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (params.description !== undefined) found.set("name", params.description);
  for (const key of Object.keys(options) as readonly (keyof typeof options)[]) {
    const value = params[key];
    if (value === undefined) continue;
    if (typeof value === "boolean") found.set(key, value ? "1" : "0");
    else if (typeof value === "object") found.set(key, value.join(SPACED.includes(key) ? " " : "\n"));
    else found.set(key, String(value));
  }
  return found;
}

function sameOptions(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

function formatSection(name: string, wanted: ReadonlyMap<string, string>): string {
  const lines = [...wanted]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key} = ${value.replaceAll("\n", "\n\t")}\n`);
  return `[${name}]\n${lines.join("")}\n`;
}

function hidePasswords(diff: Diff): Diff {
  const hide = (content: string | null | undefined) =>
    content?.replace(/^((?:proxy_)?password *= *).+$/gm, "$1***") ?? content;
  if (diff.before === undefined && diff.after === undefined) return diff;
  return { ...diff, before: hide(diff.before) ?? null, after: hide(diff.after) ?? null };
}
