import { generateKeyPairSync, randomBytes } from "node:crypto";
import { stringField } from "../transport/sftp/codec.ts";
import { fingerprintOf, hashName, hostName } from "../transport/ssh/known-hosts.ts";

/** An ed25519 key pair in OpenSSH's formats. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

const KEY_TYPE = "ssh-ed25519";

/**
 * Generate an ed25519 key pair, the private key in OpenSSH's format (its PROTOCOL.key document).
 *
 * ssh2 1.17 is no help: it breaks the one key in 256 whose public half begins with a zero. The keys are encoded as they
 * are generated: in Node 20, `export` of a new key can hang when a garbage collection falls into it.
 */
export function generateKey(comment: string): KeyPair {
  const pair = generateKeyPairSync("ed25519", {
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  // Both end with the bare key (RFC 8410).
  const [secret, point] = [pair.privateKey.subarray(-32), pair.publicKey.subarray(-32)];
  const publicBlob = Buffer.concat([stringField(KEY_TYPE), stringField(point)]);
  const check = randomBytes(4);
  const body = Buffer.concat([
    check,
    check,
    publicBlob,
    stringField(Buffer.concat([secret, point])),
    stringField(comment),
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (body.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    // The cipher, the key derivation and its options.
    ...["none", "none", ""].map((field) => stringField(field)),
    Buffer.from([0, 0, 0, 1]),
    stringField(publicBlob),
    stringField(Buffer.concat([body, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  const [begin, end] = ["BEGIN", "END"].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`);
  return {
    privateKey: [begin, ...lines, end, ""].join("\n"),
    publicKey: `${KEY_TYPE} ${publicBlob.toString("base64")} ${comment}`,
  };
}

/** Return the fingerprint of a public key, as `ssh-keygen -l` prints it. */
export function fingerprint(publicKey: string): string {
  return fingerprintOf(Buffer.from(publicKey.split(" ")[1] ?? "", "base64"));
}

/** Return a host's line for known_hosts, plain or hashed (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). */
export function knownHostsLine(address: string, port: number, publicKey: string, hashed: boolean): string {
  const [type, blob] = publicKey.split(" ");
  const name = hostName(address, port);
  return `${hashed ? hashName(name) : name} ${type} ${blob}`;
}
