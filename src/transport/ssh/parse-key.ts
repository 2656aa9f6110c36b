import { createPrivateKey, type KeyObject } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";

/** Reads a key in OpenSSH's format, PEM or PKCS#8 (RFC 5958), as ssh-keygen writes them; an Error says why it cannot. */
export function parseKey(content: Buffer, passphrase?: string): ParsedKey | Error {
  const kind = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/m.exec(content.toString("latin1"));
  if (kind !== null) return parsePkcs8(content, kind[1] !== undefined, passphrase);
  return single(() => ssh2.utils.parseKey(content, passphrase));
}

/** ssh2 does not read it: it is given the same key in the PEM that it does read. */
function parsePkcs8(
  content: Buffer,
  isEncrypted: boolean,
  passphrase: string | undefined,
): ParsedKey | Error {
  if (isEncrypted && passphrase === undefined) return new Error("it is encrypted");
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: content, ...(isEncrypted ? { passphrase } : {}) });
  } catch (thrown) {
    return thrown as Error;
  }
  const { asymmetricKeyType: type } = key;
  if (type === "rsa") return single(() => ssh2.utils.parseKey(key.export({ type: "pkcs1", format: "pem" })));
  if (type === "ec") return single(() => ssh2.utils.parseKey(key.export({ type: "sec1", format: "pem" })));
  return new Error("ssh2 reads no such key in PKCS#8: write it anew with ssh-keygen -p -m RFC4716");
}

function single(parse: () => ParsedKey | readonly ParsedKey[] | Error): ParsedKey | Error {
  let parsed: ParsedKey | readonly ParsedKey[] | Error | undefined;
  try {
    parsed = parse();
  } catch (thrown) {
    // A damaged key makes it read beyond the end.
    return new Error("it is damaged", { cause: thrown });
  }
  // Of a file that says it holds none, ssh2 gives neither a key nor an error.
  const first = Array.isArray(parsed)
    ? (parsed as readonly ParsedKey[])[0]
    : (parsed as ParsedKey | Error | undefined);
  return first ?? new Error("it holds no key");
}
