import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { FileContext } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import {
  applyAttributes,
  attributesOf,
  type FileAttributes,
  inspectAttributes,
} from "../shared/attributes.ts";
import { describe, fileAttributes, filePath, flag, oneOf, optionalText } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { runTool } from "../shared/run-tool.ts";

const TYPES = ["rsa", "dsa", "ecdsa", "ed25519"] as const;

/** Bits of a new key where none are asked for, as Ansible has them; ssh-keygen fixes those of ed25519. */
const DEFAULT_BITS = { rsa: 4096, dsa: 1024, ecdsa: 256, ed25519: 256 } as const;

const params = v.strictObject({
  path: filePath,
  state: oneOf(["present", "absent"], "present", "Make or remove the key pair."),
  type: oneOf(TYPES, "rsa", "Type of the key."),
  size: v.optional(describe(v.pipe(v.number(), v.integer()), "Bits. Default: 4096 for rsa, 256 for ecdsa.")),
  comment: v.optional(v.pipe(v.string(), v.description("Comment of the public key."))),
  passphrase: optionalText("Passphrase of a new private key. Default: none."),
  force: flag("Make the pair anew even if it is as asked for."),
  regenerate: oneOf(
    ["never", "fail", "partial_idempotence", "full_idempotence", "always"],
    "partial_idempotence",
    "When a pair that is not as asked for is made anew: `never`, not at all (`fail`), where it can be read, in any case, or always.",
  ),
  backend: optionalText("Accepted and ignored: ssh-keygen of the host makes keys."),
  private_key_format: optionalText("Accepted and ignored: keys have the format of ssh-keygen."),
  ...fileAttributes,
});

/** A key as ssh-keygen describes it. */
interface KeyFacts {
  readonly size: number;
  readonly type: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly comment: string;
  readonly public_key: string;
}

/** The data of a key pair's task, under Ansible's names. */
interface KeyData extends Partial<KeyFacts> {
  readonly filename: string;
}

interface KeyChange extends Change {
  /** `public`: write the public key's file; `attributes`: nothing but these. */
  readonly deed: "make" | "remove" | "comment" | "public" | "attributes";
}

/** Make, replace and remove OpenSSH key pairs. */
export const openssh_keypair = defineAction<typeof params, KeyChange, KeyData>({
  name: "openssh_keypair",
  doc: `Make an OpenSSH key pair with the host's \`ssh-keygen\`, or remove one.

A pair whose type or size differs is made anew; the public key beside the private one is put back where it is missing or differs. Owner, group and mode are those of both files.`,
  params,
  examples: [{ path: "/etc/ssh/ssh_host_ed25519_key", type: "ed25519" }],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    const { path, state, type, size, comment, force, regenerate } = given;
    const there = (await system.stat(path)) !== null;
    if (state === "absent") {
      const left = there || (await system.stat(`${path}.pub`)) !== null;
      return left
        ? { deed: "remove", diff: { path, before: "a key pair\n", after: null } }
        : unchanged({ filename: path });
    }
    const make = (message: string): KeyChange => ({
      deed: "make",
      message,
      diff: { path, before: there ? "a key pair\n" : null, after: `a key pair: ${type}\n` },
    });
    if (!there) return make("make the pair");
    if (force || regenerate === "always") return make("make the pair anew");
    const facts = await readKey(path, system);
    const bits = size ?? DEFAULT_BITS[type];
    const fits = facts !== undefined && facts.type === type && facts.size === bits;
    if (!fits) {
      if (regenerate === "full_idempotence" || (regenerate === "partial_idempotence" && facts !== undefined))
        return make("make the pair anew");
      if (regenerate === "never") return unchanged({ filename: path, ...facts });
      throw new VolleyError(
        "ACTION_FAILED",
        facts === undefined
          ? `${path} cannot be read as a key without a passphrase; to replace it, set regenerate: full_idempotence`
          : `${path} is a key of ${facts.size} bits, ${facts.type}; to replace it, set regenerate or force`,
      );
    }
    if (!(await hasPublicKey(path, facts, system)))
      return { deed: "public", diff: { path: `${path}.pub`, before: null, after: "a public key\n" } };
    if (comment !== undefined && facts.comment !== comment)
      return {
        deed: "comment",
        diff: { path: `${path}.pub`, attributes: { comment: [facts.comment, comment] } },
      };
    const [differing] = await inspectPair(path, attributesOf(given), system, context);
    return differing === undefined
      ? unchanged({ filename: path, ...facts })
      : { deed: "attributes", diff: differing.diff };
  },

  async apply({ deed }, params, system, context) {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    const { path, type, size, comment, passphrase = "" } = given;
    const { signal } = context;
    if (deed === "remove") {
      await system.remove(path);
      await system.remove(`${path}.pub`);
      return { data: { filename: path } };
    }
    if (deed === "comment") {
      await runTool(
        system,
        ["ssh-keygen", "-q", "-c", "-C", comment ?? "", "-P", "", "-f", path],
        "change the comment of the key",
        { signal },
      );
    } else if (deed === "public") {
      const { public_key = "" } = (await readKey(path, system)) ?? {};
      await system.writeFile(`${path}.pub`, `${[public_key, comment ?? ""].join(" ").trim()}\n`, {
        mode: 0o644,
      });
    } else if (deed === "make") {
      await system.remove(path);
      await system.remove(`${path}.pub`);
      const bits = type === "ed25519" ? [] : ["-b", String(size ?? DEFAULT_BITS[type])];
      // The passphrase goes by standard input: ssh-keygen asks for it twice.
      await runTool(
        system,
        [
          "ssh-keygen",
          "-q",
          "-t",
          type,
          ...bits,
          "-C",
          comment ?? "",
          ...(passphrase === "" ? ["-N", ""] : []),
          "-f",
          path,
        ],
        "make the key pair",
        { signal, ...(passphrase === "" ? {} : { input: `${passphrase}\n${passphrase}\n` }) },
      );
    }
    for (const change of await inspectPair(path, attributesOf(given), system, context))
      await applyAttributes(change, system);
    return { data: { filename: path, ...(await readKey(path, system)) } };
  },
});

/** Compare the attributes of both files of a pair with the wanted ones. */
async function inspectPair(path: string, wanted: FileAttributes, system: ReadSystem, context: FileContext) {
  const changes = [];
  for (const file of [path, `${path}.pub`]) {
    const change = await inspectAttributes(system, file, await system.lstat(file), wanted, context);
    if (change !== null) changes.push(change);
  }
  return changes;
}

/** Tell whether the public key's file holds the public part of the private key. */
async function hasPublicKey(path: string, { public_key }: KeyFacts, system: ReadSystem): Promise<boolean> {
  const text = (await system.readIfExists(`${path}.pub`))?.toString("utf8") ?? "";
  return text.trim().split(/\s+/).slice(0, 2).join(" ") === public_key;
}

/** Describe the key of a file; undefined for one that ssh-keygen cannot read without a passphrase. */
async function readKey(path: string, system: ReadSystem): Promise<KeyFacts | undefined> {
  const { code, stdout } = await system.query(["ssh-keygen", "-l", "-f", path], { input: "" });
  const [, size, fingerprint, comment = "", type = ""] =
    /^(\d+) (\S+) (.*) \((\S+)\)\s*$/.exec(stdout.trim()) ?? [];
  if (code !== 0 || size === undefined || fingerprint === undefined) return undefined;
  const shown = await system.query(["ssh-keygen", "-y", "-P", "", "-f", path], { input: "" });
  if (shown.code !== 0) return undefined;
  return {
    size: Number(size),
    type: type.toLowerCase(),
    fingerprint,
    // Without a comment ssh-keygen shows the file's name.
    comment: ["no comment", path, `${path}.pub`].includes(comment) ? "" : comment,
    public_key: shown.stdout.trim().split(" ").slice(0, 2).join(" "),
  };
}
