import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { downloadBytes } from "../shared/download-bytes.ts";
import { armor, isArmored, type PublicKey, readPublicKeys } from "../shared/openpgp.ts";
import { flag, oneOf, optionalText } from "../shared/params.ts";

const SOURCES = ["data", "file", "url", "keyserver"] as const;

const params = v.pipe(
  v.strictObject({
    id: optionalText(
      "Id of the key: 8, 16 or 40 hex digits, `0x` before them or not. Default: that of the key in data, file or url; `keyserver` needs the id.",
    ),
    data: optionalText("The key itself, in ASCII armor."),
    file: optionalText("Path of a file on the host that holds the key."),
    url: optionalText("URL of the key."),
    keyserver: optionalText("The key server to ask for the key, such as `keyserver.ubuntu.com`."),
    keyring: optionalText(
      "The keyring to change, such as `/etc/apt/trusted.gpg.d/x.gpg`. Default: `/etc/apt/trusted.gpg`; keys are looked for in `/etc/apt/trusted.gpg.d` too.",
    ),
    state: oneOf(["present", "absent"], "present", "`absent` removes the key."),
    validate_certs: flag("Verify the server's certificate.", true),
  }),
  v.check(
    (given) => SOURCES.filter((name) => given[name] !== undefined).length < 2,
    `parameters are mutually exclusive: ${SOURCES.join("|")}`,
  ),
  v.check(
    ({ id }) => id === undefined || /^(?:0x)?[0-9a-f]{8,}$/i.test(id),
    "Invalid key_id: id must have hex digits, at least 8 of them",
  ),
  v.check(
    ({ id, data, file, url }) => (id ?? data ?? file ?? url) !== undefined,
    "Invalid key_id: without data, file or url the id is needed",
  ),
);

type Params = v.InferOutput<typeof params>;

/** The data of an apt_key task. */
interface KeyData {
  readonly id: string;
  readonly key_id: string;
  readonly fp: string;
  readonly short_id: string;
  /** Ids of all keys before. */
  readonly before: readonly string[];
  /** Ids of all keys afterwards. */
  readonly after?: readonly string[];
}

interface KeyChange extends Change {
  /** The files to write: null for one to remove. */
  readonly files: readonly { readonly path: string; readonly content: Uint8Array | string | null }[];
  readonly data: KeyData;
}

const TRUSTED = "/etc/apt/trusted.gpg";
const PARTS = "/etc/apt/trusted.gpg.d";

/** Add or remove a key that apt trusts. */
export const apt_key = defineAction<typeof params, KeyChange, KeyData>({
  name: "apt_key",
  doc: `Add or remove a key that apt trusts for every repository. For new playbooks a key file named by \`signed-by\` is better; see \`deb822_repository\`.

Keyrings are read and written by Volley itself, so that the host needs neither gpg nor apt-key, which newer Debians lack. Keys of a key server come by HTTP, and must have the id that was asked for.`,
  params,
  examples: [
    { url: "https://ftp-master.debian.org/keys/archive-key-12.asc" },
    { id: "36A1D7869245C8950F966E92D8576A8BA88D21E9", keyserver: "keyserver.ubuntu.com" },
    { id: "0x9FED2BCBDCD29CDF762678CBAED4B06F473041FA", state: "absent" },
  ],
  title: ({ id, url, file, keyserver }) => id ?? url ?? file ?? keyserver ?? "",

  async inspect(params, system, context) {
    const rings = await readRings(params, system);
    // A key that is known needs no download: its id tells all.
    const known = params.id === undefined ? undefined : idsOf(params.id);
    const absent = params.state === "absent";
    if (known !== undefined && absent) return removal(known, rings);
    if (known !== undefined && holds(rings, known)) return unchanged(dataOf(known, rings));
    const { from, content } = await readKey(params, system, context);
    const keys = readPublicKeys(content);
    const [first] = keys;
    if (first === undefined) throw new VolleyError("ACTION_FAILED", `Unable to extract key from '${from}'`);
    const ids = known ?? idsOf(first.ids[0]!);
    if (absent) return removal(ids, rings);
    if (!keys.some((key) => key.ids.some((id) => matches(id, ids.fp))))
      throw new VolleyError(
        "ACTION_FAILED",
        `failed to add the key: ${from} holds no key with the id ${ids.id} (check that the id is correct and *not* a subkey)`,
      );
    if (holds(rings, ids)) return unchanged(dataOf(ids, rings));
    return addition(ids, keys, rings);
  },

  async apply({ files, data }, _params, system) {
    for (const { path, content } of files) await writeRing(path, content, system);
    return { data } satisfies Applied<KeyData>;
  },
});

async function writeRing(path: string, content: Uint8Array | string | null, system: System): Promise<void> {
  if (content === null) return system.remove(path);
  // apt verifies as a user of its own.
  await system.writeFile(path, content, { mode: 0o644 });
}

interface Ids {
  /** As given. */
  readonly id: string;
  readonly key: string;
  /** The digits that keys are compared by: 16 of them, or 8 when no more are given. */
  readonly fp: string;
}

function idsOf(id: string): Ids {
  const key = id.replace(/^0x/i, "").toUpperCase();
  return { id, key, fp: key.length >= 16 ? key.slice(-16) : key.slice(-8) };
}

function matches(keyId: string, fp: string): boolean {
  return keyId.endsWith(fp);
}

function holds(rings: readonly Ring[], { fp }: Ids): boolean {
  return rings.some(({ keys }) => keys.some((key) => key.ids.some((id) => matches(id, fp))));
}

/** A keyring of the host. */
interface Ring {
  readonly path: string;
  readonly armored: boolean;
  readonly exists: boolean;
  readonly keys: readonly PublicKey[];
}

async function readRings({ keyring }: Params, system: ReadSystem): Promise<readonly Ring[]> {
  if (keyring !== undefined) return [await readRing(keyring, system)];
  const names =
    (await system.stat(PARTS))?.type === "directory"
      ? (await system.list(PARTS)).filter((name) => /\.(?:gpg|asc)$/.test(name))
      : [];
  const rings: Ring[] = [await readRing(TRUSTED, system)];
  for (const name of names) rings.push(await readRing(`${PARTS}/${name}`, system));
  return rings;
}

async function readRing(path: string, system: ReadSystem): Promise<Ring> {
  const content = await system.readIfExists(path);
  if (content === null) return { path, armored: path.endsWith(".asc"), exists: false, keys: [] };
  if (content.subarray(8, 12).toString("latin1") === "KBXf")
    throw new VolleyError("ACTION_FAILED", `${path} is a keybox, which apt does not read`, {
      hint: "export its keys with gpg --export, and replace it by them",
    });
  return { path, armored: isArmored(content), exists: true, keys: readPublicKeys(content) };
}

function dataOf(ids: Ids, before: readonly Ring[], after?: readonly Ring[]): KeyData {
  const list = (rings: readonly Ring[]): readonly string[] =>
    rings.flatMap(({ keys }) => keys.flatMap((key) => key.ids.map((id) => id.slice(-ids.fp.length))));
  return {
    id: ids.id,
    key_id: ids.key,
    fp: ids.fp,
    short_id: ids.key.slice(-8),
    before: list(before),
    ...(after === undefined ? {} : { after: list(after) }),
  };
}

function addition(ids: Ids, keys: readonly PublicKey[], rings: readonly Ring[]): KeyChange {
  const [ring, ...others] = rings as readonly [Ring, ...Ring[]];
  const known = new Set(ring.keys.map(({ fingerprint }) => fingerprint));
  const added = keys.filter(({ fingerprint }) => !known.has(fingerprint));
  return changeOf(ids, rings, [{ ...ring, keys: [...ring.keys, ...added] }, ...others]);
}

function removal(ids: Ids, rings: readonly Ring[]): KeyChange | ReturnType<typeof unchanged<KeyData>> {
  if (!holds(rings, ids)) return unchanged(dataOf(ids, rings));
  const after = rings.map((ring) => ({
    ...ring,
    keys: ring.keys.filter((key) => !matches(key.ids[0]!, ids.fp)),
  }));
  if (!holds(after, ids)) return changeOf(ids, rings, after);
  throw new VolleyError(
    "ACTION_FAILED",
    `${ids.id} is the id of a subkey (check that the id is correct and *not* a subkey)`,
    { hint: "remove the key by the id of its primary key" },
  );
}

function changeOf(ids: Ids, before: readonly Ring[], after: readonly Ring[]): KeyChange {
  const changed = after.filter(({ keys }, index) => keys.length !== before[index]!.keys.length);
  const text = (keys: readonly PublicKey[]): string =>
    keys.map(({ fingerprint }) => `${fingerprint}\n`).join("");
  return {
    files: changed.map(({ path, armored, keys }) => {
      const bytes = Buffer.concat(keys.map((key) => key.bytes));
      return { path, content: keys.length === 0 ? null : armored ? armor(bytes) : bytes };
    }),
    diff: changed.map(({ path, keys }) => ({
      path,
      before: text(before.find((ring) => ring.path === path)!.keys),
      after: text(keys),
    })),
    data: dataOf(ids, before, after),
  };
}

/** Fetch the wanted key. Fails with `ACTION_FAILED`. */
async function readKey(
  { data, file, url, keyserver, id, validate_certs }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<{ readonly from: string; readonly content: Uint8Array }> {
  if (data !== undefined) return { from: "inline data", content: Buffer.from(data) };
  if (file !== undefined) {
    const content = await system.readIfExists(file);
    if (content !== null) return { from: file, content };
    throw new VolleyError("ACTION_FAILED", `Unable to extract key from '${file}': there is no such file`);
  }
  const wanted = url ?? (keyserver === undefined ? undefined : keyUrl(keyserver, id!));
  if (wanted === undefined)
    throw new VolleyError("ACTION_FAILED", `there is no key ${id}, and nothing to take it from`, {
      hint: "give data, file, url or keyserver",
    });
  try {
    return { from: wanted, content: await downloadBytes(wanted, context, validate_certs) };
  } catch (thrown) {
    if (thrown instanceof VolleyError && thrown.code === "CANCELLED") throw thrown;
    const failed =
      url === undefined
        ? `Error fetching key ${id} from keyserver: ${keyserver}`
        : `Failed to download key at ${url}`;
    throw new VolleyError("ACTION_FAILED", `${failed}: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** Return the URL of a key on a key server (HKP). */
export function keyUrl(keyserver: string, id: string): string {
  const [, scheme = "hkp", host = keyserver] = /^(\w+):\/\/(.*?)\/?$/.exec(keyserver) ?? [];
  const secure = scheme === "hkps" || scheme === "https";
  const port = scheme === "hkp" && !/:\d+$/.test(host) ? ":11371" : "";
  const query = `op=get&options=mr&search=0x${idsOf(id).key}`;
  return `${secure ? "https" : "http"}://${host}${port}/pks/lookup?${query}`;
}
