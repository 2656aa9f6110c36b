import { createPublicKey, type KeyObject } from "node:crypto";
import * as v from "valibot";
import { defineAction } from "../define.ts";
import { attributeAliases, oneOf } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { hasOneKey, keyParams, ONE_KEY, sourceOf } from "./key-params.ts";
import { fingerprints, keyOf, publicDer } from "./keys.ts";
import { applyPem, inspectPem, type PemChange, pemParams } from "./pem-file.ts";
import { sshText } from "./ssh-text.ts";

const params = v.pipe(
  v.strictObject({
    ...pemParams,
    format: oneOf(["PEM", "OpenSSH"], "PEM", "Form of the public key."),
    ...keyParams,
  }),
  v.check((given) => hasOneKey(given), ONE_KEY),
);

type Given = v.InferOutput<typeof params>;

interface PublicKeyData {
  readonly filename: string;
  readonly format: string;
  readonly privatekey?: string;
  readonly fingerprint?: Readonly<Record<string, string>>;
  readonly publickey?: string;
  readonly backup_file?: string;
}

/** Make the public keys of private ones. */
export const openssl_publickey = defineAction<typeof params, PemChange, PublicKeyData>({
  name: "openssl_publickey",
  doc: "Write the public key of a private key, or remove it. A file that holds the key in this form stays.",
  params,
  aliases: attributeAliases,
  examples: [{ path: "/etc/ssl/site.pub", privatekey_path: "/etc/ssl/private/site.pem" }],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await withFullPaths(params, ["path", "privatekey_path"], system, context.facts.env);
    const key = given.state === "absent" ? null : await keyOf(sourceOf(given), system);
    return inspectPem(given, system, context, {
      word: "a public key",
      missing:
        key === null && given.state !== "absent"
          ? `The private key ${given.privatekey_path} does not exist`
          : undefined,
      reason: async (text) => (key === null || holds(given, text, key) ? null : "it is another key"),
      data: async (text) => dataOf(given, key, text),
    });
  },

  async apply(change, params, system, context) {
    const given = await withFullPaths(params, ["path", "privatekey_path"], system, context.facts.env);
    const key = given.state === "absent" ? null : await keyOf(sourceOf(given), system);
    return applyPem(change, given, system, context, {
      make: async () => write(given, key!),
      data: async (text) => dataOf(given, key, text),
    });
  },
});

function write({ format }: Given, key: KeyObject): string {
  if (format === "OpenSSH") return sshText(key);
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
}

function holds({ format }: Given, text: string, key: KeyObject): boolean {
  if (format === "OpenSSH") return text.trim().split(/\s+/).slice(0, 2).join(" ") === sshText(key).trim();
  try {
    return publicDer(createPublicKey(text)).equals(publicDer(key)) && !text.includes("PRIVATE");
  } catch {
    return false;
  }
}

function dataOf(given: Given, key: KeyObject | null, text: string | null): PublicKeyData {
  const { path, format, privatekey_path: source, return_content } = given;
  return {
    filename: path,
    format,
    ...(source === undefined ? {} : { privatekey: source }),
    ...(key === null ? {} : { fingerprint: fingerprints(key) }),
    ...(return_content && text !== null ? { publickey: text } : {}),
  };
}
