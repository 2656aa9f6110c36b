import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { isWebUrl } from "../network/web-url.ts";
import { downloadBytes } from "../shared/download-bytes.ts";
import { armor, isArmored, type PublicKey, readPublicKeys } from "../shared/openpgp.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";

const params = v.strictObject({
  key: text("The key: a URL, a path on the host, or for `absent` its id: 8 or more hex digits."),
  state: oneOf(["present", "absent"], "present", "`absent` removes the key."),
  fingerprint: v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.transform((value): readonly string[] =>
        (typeof value === "string" ? [value] : value).map((each) => each.replace(/\s/g, "").toUpperCase()),
      ),
      v.description("The fingerprint that the key must have, or one of several."),
    ),
  ),
  validate_certs: flag("Verify the server's certificate.", true),
});

type Params = v.InferOutput<typeof params>;

interface KeyChange extends Change {
  /** The key's file to import; null to remove. */
  readonly content: Uint8Array | null;
  /** Names of the packages that stand for the keys to remove. */
  readonly packages: readonly string[];
}

/** Import or remove a key in rpm's database. */
export const rpm_key = defineAction<typeof params, KeyChange>({
  name: "rpm_key",
  doc: "Import a key that signs packages into rpm's database, or remove it. A key that is there is known by its id, and not imported again.",
  params,
  examples: [
    { key: "https://download.fedoraproject.org/pub/epel/RPM-GPG-KEY-EPEL-9" },
    {
      key: "/etc/pki/rpm-gpg/RPM-GPG-KEY-x",
      fingerprint: "EBC6 E12C 62B1 C734 026B 2122 A20E 5214 6B8D 79E6",
    },
    { key: "DEADB33F", state: "absent" },
  ],
  title: ({ key }) => key,

  async inspect(params, system, context) {
    if ((await system.which("rpm")) === null)
      throw new VolleyError("ACTION_FAILED", "the host has no rpm: install the package rpm");
    const installed = await installedKeys(system, context);
    const isId = /^(?:0x)?[0-9a-f]{8,40}$/i.test(params.key);
    if (params.state === "present" && isId)
      throw new VolleyError("ACTION_FAILED", "When importing a key, a valid file must be given", {
        hint: "give the key's URL, or its path on the host",
      });
    const content = isId ? null : await readKey(params, system, context);
    const keys = content === null ? [] : readPublicKeys(content);
    if (content !== null && keys.length === 0)
      throw new VolleyError("ACTION_FAILED", `Not a public key: ${params.key}`);
    if (content !== null) checkFingerprint(params, keys);
    const ids = content === null ? [shortId(params.key)] : keys.map((key) => shortId(key.ids[0]!));
    const packages = installed.filter(({ version }) => ids.includes(shortId(version)));
    const diff = (before: string, after: string) => ({ path: `rpm key ${ids.join(", ")}`, before, after });
    if (params.state === "absent")
      return packages.length === 0
        ? unchanged()
        : { content: null, packages: packages.map(({ name }) => name), diff: diff("imported\n", "") };
    const found = packages.map(({ version }) => shortId(version));
    if (ids.every((id) => found.includes(id))) return unchanged();
    return { content, packages: [], diff: diff("", "imported\n") };
  },

  async apply({ content, packages }, { key }, system, { signal }) {
    if (packages.length > 0)
      await runTool(system, ["rpm", "--erase", "--allmatches", ...packages], `remove the key ${key}`, {
        signal,
      });
    if (content === null) return;
    const path = posix.join(await system.temporaryDirectory(), "key");
    // rpm takes keys in ASCII armor only.
    await system.writeFile(path, isArmored(content) ? content : armor(content), { mode: 0o600 });
    await runTool(system, ["rpm", "--import", path], `import the key ${key}`, { signal });
  },
});

/** rpm knows keys by the last 8 digits of their ids. */
function shortId(id: string): string {
  return id.replace(/^0x/i, "").slice(-8).toLowerCase();
}

async function installedKeys(
  system: ReadSystem,
  { signal }: ActionContext,
): Promise<readonly { readonly name: string; readonly version: string }[]> {
  const format = "%{NAME}-%{VERSION}-%{RELEASE} %{VERSION}\\n";
  // Without any key rpm exits with an error.
  const { stdout } = await system.query(["rpm", "--query", "--queryformat", format, "gpg-pubkey"], {
    env: { LC_ALL: "C" },
    signal,
  });
  return [...stdout.matchAll(/^(gpg-pubkey-\S+) (\S+)$/gm)].map(([, name, version]) => ({
    name: name!,
    version: version!,
  }));
}

async function readKey(
  { key, validate_certs }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<Uint8Array> {
  if (isWebUrl(key)) {
    try {
      return await downloadBytes(key, context, validate_certs);
    } catch (thrown) {
      if (thrown instanceof VolleyError && thrown.code === "CANCELLED") throw thrown;
      throw new VolleyError(
        "ACTION_FAILED",
        `failed to fetch key at ${key} , error was: ${messageOf(thrown)}`,
        {
          cause: thrown,
        },
      );
    }
  }
  const content = await system.readIfExists(key.replace(/^file:\/\//, ""));
  if (content !== null) return content;
  throw new VolleyError("ACTION_FAILED", `Not a valid key ${key}: there is no such file on the host`);
}

function checkFingerprint({ key, fingerprint }: Params, keys: readonly PublicKey[]): void {
  if (fingerprint === undefined || keys.some((each) => fingerprint.includes(each.fingerprint))) return;
  throw new VolleyError(
    "ACTION_FAILED",
    `The specified fingerprint, '${fingerprint.join(", ")}', does not match any key fingerprints in '${key}'`,
    { hint: `its fingerprint is ${keys.map((each) => each.fingerprint).join(", ")}` },
  );
}
