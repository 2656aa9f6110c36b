import { webcrypto } from "node:crypto";
import { messageOf, printable, VolleyError } from "../../core/errors.ts";
import { derive, keyId, type QueueKey } from "../seal.ts";

// Encrypts bundles as age files to an X25519 identity that is derived from a queue key: the place where they lie learns
// nothing of them, and a person with the identity can open them with age.

/** Encrypts and decrypts files with one queue key. */
export interface AgeFiles {
  /** Tells files of different queue keys apart by their names. */
  readonly tag: string;
  encrypt(plain: Uint8Array): Promise<Uint8Array>;
  /** Fails with `QUEUE_REFUSED` for a file that was not encrypted to this key, or was changed; the error names `what`. */
  decrypt(file: Uint8Array, what: string): Promise<Buffer>;
}

/** The head that PKCS #8 (RFC 8410) puts before the 32 bytes of an X25519 key. */
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** Open the files of a queue key. */
export function ageFilesOf(key: QueueKey): AgeFiles {
  const identity = async () => {
    const secret = derive(key, Buffer.alloc(0), "bundles", 32);
    const pkcs8 = Buffer.concat([PKCS8, secret]);
    return webcrypto.subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, false, ["deriveBits"]);
  };
  return {
    tag: keyId(key).toString("hex"),
    encrypt: async (plain) => {
      const { Encrypter, identityToRecipient } = await import("age-encryption");
      const encrypter = new Encrypter();
      encrypter.addRecipient(await identityToRecipient(await identity()));
      return encrypter.encrypt(plain);
    },
    decrypt: async (file, what) => {
      const { Decrypter } = await import("age-encryption");
      const decrypter = new Decrypter();
      decrypter.addIdentity(await identity());
      try {
        return Buffer.from(await decrypter.decrypt(file));
      } catch (cause) {
        throw new VolleyError(
          "QUEUE_REFUSED",
          `${what} was not encrypted with the queue key, or was changed: ${printable(messageOf(cause), 200)}`,
          { cause },
        );
      }
    },
  };
}
