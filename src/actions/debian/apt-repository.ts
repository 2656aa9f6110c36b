import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { type DownloadRequest, downloadText } from "../network/download.ts";
import { parseMode } from "../shared/attributes.ts";
import { fileAttributes, flag, oneOf, optionalText } from "../shared/params.ts";
import { missingDirectories, parentOf } from "../shared/paths.ts";
import { fetchLists } from "./apt-get.ts";
import {
  addSource,
  formatSources,
  listPath,
  parseRepository,
  readSources,
  readSourcesFile,
  removeSource,
} from "./apt-sources.ts";

const params = v.strictObject({
  repo: v.pipe(
    v.string(),
    v.check((repo) => repo.trim() !== "", "Please set argument 'repo' to a non-empty value"),
    v.description(
      "The source, `deb http://deb.debian.org/debian bookworm main`, with options in brackets where it needs some; or a PPA of Launchpad, `ppa:owner/name`.",
    ),
  ),
  state: oneOf(["present", "absent"], "present", "`absent` removes the source, and a list without any."),
  filename: optionalText(
    "Name of the list in `/etc/apt/sources.list.d`, without `.list`. Default: made of the source's URL. A source that stands in any list already stays there.",
  ),
  mode: fileAttributes.mode,
  codename: optionalText("The release to take from a PPA. Default: the host's own."),
  update_cache: flag("Fetch the package lists after a change.", true),
  update_cache_retries: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(0), v.description("How often fetching the lists is retried.")),
    5,
  ),
  update_cache_retry_max_delay: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.description("The longest wait before a retry, in seconds."),
    ),
    12,
  ),
  validate_certs: flag("Verify Launchpad's certificate, when asking for a PPA's key.", true),
  install_python_apt: flag("Accepted and ignored: no Python library is needed.", true),
});

type Params = v.InferOutput<typeof params>;

/** The data of an apt_repository task. */
interface RepositoryData {
  readonly repo: string;
  readonly state: "present" | "absent";
  /** Lists that were made. */
  readonly sources_added: readonly string[];
  /** Lists that were removed. */
  readonly sources_removed: readonly string[];
}

interface RepositoryChange extends Change {
  readonly files: readonly Required<Pick<Diff, "path" | "before" | "after">>[];
  /** The PPA whose key is missing. */
  readonly key?: Ppa;
}

/** Add or remove a source of packages. */
export const apt_repository = defineAction<typeof params, RepositoryChange, RepositoryData>({
  name: "apt_repository",
  doc: `Add or remove a source of Debian packages, in the one-line style of sources.list(5).

A source counts as the same when its words are, options included. One that stands in a comment is enabled again. When the package lists cannot be fetched afterwards, the lists of sources are put back.

The key of a PPA comes from Ubuntu's key server over HTTPS, by the fingerprint that Launchpad tells, and is stored in \`/etc/apt/trusted.gpg.d\`. Other keys are the playbook's task; see \`apt_key\` and \`deb822_repository\`.`,
  params,
  aliases: { "update-cache": "update_cache" },
  examples: [
    { repo: "deb http://deb.debian.org/debian bookworm-backports main" },
    {
      repo: "deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable",
      filename: "docker",
    },
    { repo: "ppa:nginx/stable", codename: "jammy", state: "absent" },
  ],
  title: ({ repo }) => repo,

  async inspect(params, system, context) {
    const { state, filename } = params;
    const ppa = parsePpa(params, context);
    const source = ppa?.source ?? parseRepository(params.repo);
    const files = await readSources(system);
    const path = listPath(source, filename ?? ppa?.filename);
    const fallback = files.find((file) => file.path === path) ?? (await readSourcesFile(system, path));
    const changed = state === "present" ? addSource(files, source, fallback) : removeSource(files, source);
    // As in Ansible, a change removes the lists that are empty, too.
    const empty =
      changed.length > 0 ? files.filter((file) => file.text === "" && !changed.includes(file)) : [];
    const diff = [...changed, ...empty].map(({ path, text, lines }) => ({
      path,
      before: text,
      after: formatSources(lines),
    }));
    const key =
      ppa !== null && state === "present" && (await system.lstat(ppa.keyFile)) === null ? ppa : undefined;
    if (diff.length === 0 && key === undefined) return unchanged(dataOf(params, []));
    return { files: diff, diff, data: dataOf(params, diff), ...(key === undefined ? {} : { key }) };
  },

  async apply({ files, key }, params, system, context) {
    if (key !== undefined) await storeKey(key, params, system, context);
    for (const { path, after } of files) await writeSources(path, after, params.mode, system);
    if (params.update_cache) {
      try {
        await fetchLists(
          system,
          { dpkgOptions: [], lockTimeoutSeconds: LOCK_SECONDS },
          { retries: params.update_cache_retries, maxDelaySeconds: params.update_cache_retry_max_delay },
          context,
        );
      } catch (thrown) {
        for (const { path, before } of files) await writeSources(path, before, undefined, system);
        throw thrown;
      }
    }
    return { data: dataOf(params, files) } satisfies Applied<RepositoryData>;
  },
});

const LOCK_SECONDS = 60;

function dataOf({ repo, state }: Params, files: RepositoryChange["files"]): RepositoryData {
  return {
    repo,
    state,
    sources_added: files.flatMap(({ path, before }) => (before === null ? [path] : [])),
    sources_removed: files.flatMap(({ path, after }) => (after === null ? [path] : [])),
  };
}

async function writeSources(
  path: string,
  text: string | null,
  mode: string | number | undefined,
  system: System,
): Promise<void> {
  if (text === null) return system.remove(path);
  for (const directory of await missingDirectories(system, parentOf(path)))
    await system.makeDirectory(directory);
  const before = (await system.stat(path))?.mode ?? NEW_LIST_MODE;
  await system.writeFile(path, text, { mode: mode === undefined ? before : parseMode(mode, before, false) });
}

const NEW_LIST_MODE = 0o644;

/** A PPA: a repository of Launchpad. */
interface Ppa {
  readonly owner: string;
  readonly archive: string;
  readonly source: string;
  readonly filename: string;
  readonly keyFile: string;
}

function parsePpa({ repo, codename }: Params, { facts }: ActionContext): Ppa | null {
  if (!repo.trim().startsWith("ppa:")) return null;
  const [, owner, archive = "ppa"] = /^ppa:~?([\w.+-]+)(?:\/([\w.+-]+))?$/.exec(repo.trim()) ?? [];
  if (owner === undefined)
    throw new VolleyError("ACTION_FAILED", `Invalid repository string: ${repo}`, {
      hint: 'a PPA is named "ppa:owner/name"',
    });
  const release = codename ?? facts.distribution_release;
  const name = `ppa_${owner}_${archive}_${release}`.replace(/\W+/g, "_");
  return {
    owner,
    archive,
    source: `deb http://ppa.launchpad.net/${owner}/${archive}/ubuntu ${release} main`,
    filename: name,
    keyFile: `/etc/apt/trusted.gpg.d/ppa_${owner}_${archive}.asc`.replace(/[^\w/.]+/g, "_"),
  };
}

const TIMEOUT_MS = 30_000;

/** Download a PPA's key and store it. Fails with `ACTION_FAILED` when Launchpad or the key server cannot be reached. */
async function storeKey(
  { owner, archive, keyFile }: Ppa,
  { validate_certs }: Params,
  system: System,
  { facts, signal }: ActionContext,
): Promise<void> {
  const request = (url: string): DownloadRequest => ({
    url,
    timeoutMs: TIMEOUT_MS,
    headers: { accept: "application/json" },
    validateCertificates: validate_certs,
    environment: facts.env,
    signal,
  });
  let key: string;
  try {
    const about = JSON.parse(
      await downloadText(request(`https://api.launchpad.net/1.0/~${owner}/+archive/${archive}`)),
    ) as { readonly signing_key_fingerprint?: unknown };
    const fingerprint = about.signing_key_fingerprint;
    if (typeof fingerprint !== "string" || !/^[0-9A-F]{40}$/i.test(fingerprint))
      throw new VolleyError("ACTION_FAILED", "Launchpad tells no key");
    key = await downloadText({
      ...request(`https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x${fingerprint}`),
      headers: {},
    });
  } catch (thrown) {
    if (thrown instanceof VolleyError && thrown.code === "CANCELLED") throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new VolleyError(
      "ACTION_FAILED",
      `failed to fetch PPA information of ppa:${owner}/${archive}: ${why}`,
      { cause: thrown, hint: "add it as a deb line, with its key in a file named by signed-by" },
    );
  }
  await system.writeFile(keyFile, key, { mode: 0o644 });
}
