import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import * as v from "valibot";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { attributeAliases, describe, oneOf, optionalText } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { fingerprints, readKey } from "./keys.ts";
import { applyPem, inspectPem, type PemChange, pemParams } from "./pem-file.ts";

const TYPES = ["RSA", "DSA", "ECC", "Ed25519", "Ed448", "X25519", "X448"] as const;
const DEFAULT_BITS = 4096;
const makePair = promisify(generateKeyPair) as unknown as (
  type: string,
  options: object,
) => Promise<{ readonly privateKey: KeyObject }>;

const params = v.pipe(
  v.strictObject({
    ...pemParams,
    type: oneOf(TYPES, "RSA", "Kind of the key."),
    size: v.optional(
      describe(v.pipe(v.number(), v.integer(), v.minValue(512)), "Bits of RSA and DSA."),
      DEFAULT_BITS,
    ),
    curve: optionalText("Curve of ECC, such as `secp384r1`."),
    passphrase: optionalText("Passphrase of the key. Default: none."),
    cipher: optionalText("`auto`: a passphrase encrypts the key with AES."),
    format: oneOf(
      ["pkcs1", "pkcs8", "raw", "auto", "auto_ignore"],
      "auto_ignore",
      "Form of the key. `auto`: PKCS #1 for RSA, DSA and ECC, else PKCS #8; `auto_ignore`: the same, and any of a key that is there. `raw` is refused.",
    ),
    format_mismatch: oneOf(
      ["regenerate", "convert"],
      "regenerate",
      "A key that is right but for its form is made anew, or converted.",
    ),
    regenerate: oneOf(
      ["never", "fail", "partial_idempotence", "full_idempotence", "always"],
      "full_idempotence",
      "When a key that is there is replaced. `partial_idempotence`: if it differs and can be read; `full_idempotence`: also if it cannot be read.",
    ),
  }),
  v.check(
    ({ type, curve, state }) => state === "absent" || type !== "ECC" || curve !== undefined,
    "type ECC needs curve",
  ),
  v.check(({ format }) => format !== "raw", 'the format "raw" is not supported'),
  v.check(({ cipher = "auto" }) => cipher === "auto", "cipher must be auto"),
);

interface PrivateKeyData {
  readonly filename: string;
  readonly type: string;
  readonly size: number;
  readonly curve?: string;
  readonly fingerprint?: Readonly<Record<string, string>>;
  readonly privatekey?: string;
  readonly backup_file?: string;
}

type Given = v.InferOutput<typeof params>;

/** Make private keys. */
export const openssl_privatekey = defineAction<typeof params, PemChange, PrivateKeyData>({
  name: "openssl_privatekey",
  doc: `Make a private key for TLS, or remove it; a new file has mode 0600 where none is asked for.

The key is made by Volley itself: on the host, and on the controller where the host is worked on directly. A key of another kind, size, curve, passphrase or form is made anew, as \`regenerate\` says.`,
  params,
  aliases: attributeAliases,
  examples: [{ path: "/etc/ssl/private/site.pem", size: 2048 }],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    return inspectPem(given, system, context, {
      word: "a private key",
      reason: async (text) => reasonOf(given, text),
      data: async (text) => dataOf(given, text),
    });
  },

  async apply(change, params, system, context) {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    return applyPem(change, given, system, context, {
      mode: 0o600,
      make: async () => {
        const bytes = given.force ? null : await system.readIfExists(given.path);
        const old = bytes === null ? undefined : keyIn(given, bytes.toString("latin1"));
        const isConverted =
          old !== undefined && differs(given, old) === null && given.format_mismatch === "convert";
        return write(given, isConverted ? old : await generate(given));
      },
      data: async (text) => dataOf(given, text),
    });
  },
});

const CURVES: Readonly<Record<string, string>> = { secp256r1: "prime256v1", secp192r1: "prime192v1" };

async function generate({ type, size, curve = "" }: Given): Promise<KeyObject> {
  const kind = type === "ECC" ? "ec" : type.toLowerCase();
  const options = {
    ...(type === "RSA" ? { modulusLength: size } : {}),
    ...(type === "DSA" ? { modulusLength: size, divisorLength: size > 1024 ? 256 : 160 } : {}),
    ...(type === "ECC" ? { namedCurve: CURVES[curve] ?? curve } : {}),
  };
  try {
    return (await makePair(kind, options)).privateKey;
  } catch (cause) {
    throw new VolleyError("ACTION_FAILED", `cannot make the key: ${(cause as Error).message}`, { cause });
  }
}

function isTraditional({ type, format }: Given): boolean {
  return format === "pkcs1" || (format !== "pkcs8" && /^(?:RSA|DSA|ECC)$/.test(type));
}

function write(given: Given, key: KeyObject): string {
  const { passphrase, type } = given;
  const secret = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  const kind = !isTraditional(given) || type === "DSA" ? "pkcs8" : type === "ECC" ? "sec1" : "pkcs1";
  return key.export({ format: "pem", type: kind, ...secret } as { format: "pem"; type: "pkcs8" }).toString();
}

/** The key of a text; undefined where it cannot be read so. */
function keyIn({ path, passphrase }: Given, text: string): KeyObject | undefined {
  // A key without a passphrase is not the one asked for.
  if (passphrase !== undefined && !text.includes("ENCRYPTED")) return undefined;
  try {
    return readKey(text, passphrase, path);
  } catch {
    return undefined;
  }
}

/** Return in what a key differs from the one asked for. */
function differs({ type, size, curve = "" }: Given, key: KeyObject): string | null {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const kind = key.asymmetricKeyType === "ec" ? "ecc" : key.asymmetricKeyType;
  if (kind !== type.toLowerCase()) return "it is of another kind";
  if (modulusLength !== undefined && modulusLength !== size) return "it is of another size";
  return type === "ECC" && namedCurve !== (CURVES[curve] ?? curve) ? "it is of another curve" : null;
}

function reasonOf(given: Given, text: string): string | null {
  const { regenerate, format, path } = given;
  if (regenerate === "always") return "it is always made anew";
  if (regenerate === "never") return null;
  const key = keyIn(given, text);
  const isUnread = key === undefined;
  const form = /-----BEGIN (?:RSA|EC|DSA) PRIVATE KEY-----/.test(text);
  const why = isUnread
    ? "it cannot be read with this passphrase"
    : (differs(given, key) ??
      (format !== "auto_ignore" && given.type !== "DSA" && form !== isTraditional(given)
        ? "it has another form"
        : null));
  if (why === null) return null;
  const isForm = !isUnread && differs(given, key) === null;
  if (isForm && given.format_mismatch === "convert") return why;
  if (regenerate === "fail" || (isUnread && regenerate === "partial_idempotence"))
    throw new VolleyError("ACTION_FAILED", `${path}: ${why}; to replace it, set regenerate or force`);
  return why;
}

function dataOf(given: Given, text: string | null): PrivateKeyData {
  const { path, type, size, curve, return_content } = given;
  const key = text === null ? undefined : keyIn(given, text);
  return {
    filename: path,
    type,
    size,
    ...(type === "ECC" && curve !== undefined ? { curve } : {}),
    ...(key === undefined ? {} : { fingerprint: fingerprints(key) }),
    ...(return_content && text !== null ? { privatekey: text } : {}),
  };
}
