import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { isWebUrl } from "../network/web-url.ts";
import { downloadBytes } from "../shared/download-bytes.ts";
import { isArmored } from "../shared/openpgp.ts";
import { fileAttributes, flag, oneOf, optionalText, text, textList } from "../shared/params.ts";
import { missingDirectories } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { PARTS } from "./apt-sources.ts";

function answer(description: string) {
  return v.optional(v.pipe(v.boolean(), v.description(description)));
}

function list(description: string) {
  return v.optional(textList(description));
}

const params = v.pipe(
  v.strictObject({
    name: text("Name of the repository; the names of its files are made of it."),
    state: oneOf(["present", "absent"], "present", "`absent` removes the repository and its key."),
    types: v.optional(
      v.pipe(
        v.union([v.picklist(["deb", "deb-src"]), v.array(v.picklist(["deb", "deb-src"]))]),
        v.transform((value): readonly string[] => (typeof value === "string" ? [value] : value)),
        v.description("Kinds of packages: `deb`, `deb-src`."),
      ),
      "deb",
    ),
    uris: list("URLs of the repository."),
    suites: list("Suites, such as `bookworm`; a path with a slash at its end stands for itself."),
    components: list("Components, such as `main`."),
    architectures: list("Architectures. Default: those of the host."),
    languages: list("Languages of descriptions."),
    targets: list("Files to fetch from the repository."),
    signed_by: optionalText(
      "The key: a URL, which is downloaded to `/etc/apt/keyrings`, a path on the host, fingerprints, or the key itself in ASCII armor.",
    ),
    trusted: answer("Trust the repository without a key (`true`), or never (`false`)."),
    enabled: answer("Use the repository."),
    allow_insecure: answer("Allow a repository without a key."),
    allow_weak: answer("Allow weak digests."),
    allow_downgrade_to_insecure: answer("Allow a repository that has lost its key."),
    by_hash: answer("Fetch indexes by their digests."),
    check_date: answer("Trust the host's clock in checks of the repository's dates."),
    check_valid_until: answer("Refuse a repository that has expired."),
    date_max_future: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.description("Seconds that a repository's date may lie in the future."),
      ),
    ),
    inrelease_path: optionalText("Path of the InRelease file, from the suite's directory."),
    pdiffs: answer("Fetch differences of indexes."),
    mode: v.optional(fileAttributes.mode.wrapped, "0644"),
    install_python_debian: flag("Accepted and ignored: no Python library is needed."),
  }),
  v.check(
    ({ state, uris, suites }) => state === "absent" || (uris !== undefined && suites !== undefined),
    'state "present" needs uris and suites',
  ),
);

type Params = v.InferOutput<typeof params>;

/** The data of a deb822_repository task. */
interface RepositoryData {
  /** The text of the file; null for `absent`. */
  readonly repo: string | null;
  /** Path of the file; null for `absent`. */
  readonly dest: string | null;
  /** Path of the downloaded key; null without one. */
  readonly key_filename: string | null;
}

interface RepositoryChange extends Change {
  readonly directories: readonly string[];
  readonly files: readonly FileChange[];
  readonly removed: readonly string[];
  readonly data: RepositoryData;
}

const KEYRINGS = "/etc/apt/keyrings";

/** Add or remove a repository in the deb822 style. */
export const deb822_repository = defineAction<typeof params, RepositoryChange, RepositoryData>({
  name: "deb822_repository",
  doc: `Add or remove a repository of Debian packages in the deb822 style of sources.list(5), with its key.

The file is \`/etc/apt/sources.list.d/NAME.sources\`, and the key of a URL \`/etc/apt/keyrings/NAME.asc\`, or \`.gpg\` for one without ASCII armor. The package lists are not fetched: \`apt\` does that.`,
  params,
  examples: [
    {
      name: "docker",
      uris: "https://download.docker.com/linux/debian",
      suites: "bookworm",
      components: "stable",
      architectures: ["amd64"],
      signed_by: "https://download.docker.com/linux/debian/gpg",
    },
    { name: "docker", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const slug = slugOf(params.name);
    const dest = posix.join(PARTS, `${slug}.sources`);
    const keyFiles = ["asc", "gpg"].map((extension) => posix.join(KEYRINGS, `${slug}.${extension}`));
    if (params.state === "absent") return inspectAbsent([dest, ...keyFiles], system);
    const key = await fetchKey(params, slug, context);
    const repo = formatRepository(params, key?.path);
    const data: RepositoryData = { repo, dest, key_filename: key?.path ?? null };
    const directories = key === null ? [] : await missingDirectories(system, KEYRINGS);
    const wanted = [
      ...(key === null ? [] : [{ path: key.path, content: key.content, mode: "0644" }]),
      { path: dest, content: repo, mode: params.mode },
    ];
    const files: FileChange[] = [];
    for (const file of wanted) {
      const found = await inspectFile({ system, context, ...file, parents: "given" });
      if (found !== null) files.push(found);
    }
    if (files.length === 0) return unchanged(data);
    return { directories, files, removed: [], data, diff: files.map(({ diff }) => diff) };
  },

  async apply({ directories, files, removed, data }, _params, system) {
    for (const directory of directories) await system.makeDirectory(directory, 0o755);
    for (const file of files) await applyFile(file, system);
    for (const path of removed) await system.remove(path);
    return { data } satisfies Applied<RepositoryData>;
  },
});

async function inspectAbsent(paths: readonly string[], system: ReadSystem) {
  const data: RepositoryData = { repo: null, dest: null, key_filename: null };
  const removed: string[] = [];
  const diff: Diff[] = [];
  for (const path of paths) {
    const content = await system.readIfExists(path);
    if (content === null) continue;
    removed.push(path);
    diff.push(
      path.endsWith(".gpg")
        ? { path, after: null, binary: true }
        : { path, before: content.toString("utf8"), after: null },
    );
  }
  return removed.length === 0 ? unchanged(data) : { directories: [], files: [], removed, data, diff };
}

/** Return the name of a repository's files. */
function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^-+|-+$/g, "");
}

async function fetchKey(
  { signed_by }: Params,
  slug: string,
  context: ActionContext,
): Promise<{ readonly path: string; readonly content: Uint8Array } | null> {
  if (signed_by === undefined || !isWebUrl(signed_by)) return null;
  const content = await downloadBytes(signed_by, context);
  return { path: posix.join(KEYRINGS, `${slug}.${isArmored(content) ? "asc" : "gpg"}`), content };
}

/** Write a repository; the fields stand in the order of the parameters' names, as in Ansible. */
function formatRepository(params: Params, keyFile: string | undefined): string {
  const fields = {
    "Allow-Downgrade-To-Insecure": params.allow_downgrade_to_insecure,
    "Allow-Insecure": params.allow_insecure,
    "Allow-Weak": params.allow_weak,
    Architectures: params.architectures,
    "By-Hash": params.by_hash,
    "Check-Date": params.check_date,
    "Check-Valid-Until": params.check_valid_until,
    Components: params.components,
    "Date-Max-Future": params.date_max_future,
    Enabled: params.enabled,
    "InRelease-Path": params.inrelease_path,
    Languages: params.languages,
    "X-Repolib-Name": params.name,
    PDiffs: params.pdiffs,
    "Signed-By": keyFile ?? params.signed_by,
    Suites: params.suites,
    Targets: params.targets,
    Trusted: params.trusted,
    Types: params.types,
    URIs: params.uris,
  };
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}:${formatValue(value!)}\n`)
    .join("");
}

function formatValue(value: string | number | boolean | readonly string[]): string {
  if (typeof value === "boolean") return value ? " yes" : " no";
  if (typeof value === "number") return ` ${value}`;
  if (typeof value !== "string") return ` ${value.join(" ")}`;
  const lines = value.trim().split("\n");
  if (lines.length === 1) return ` ${lines[0]}`;
  // A paragraph of deb822 has no empty lines: a dot stands for one.
  return `\n${lines.map((line) => `    ${line.trim() === "" ? "." : line}`).join("\n")}`;
}
