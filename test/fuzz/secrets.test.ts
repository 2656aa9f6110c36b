import { tmpdir } from "node:os";
import { Encrypter } from "age-encryption";
import { test } from "vitest";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { openVault } from "../../src/vars/secrets/vault.ts";
import { isVault, parseVault } from "../../src/vars/vault-format.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustBeOneLine, orRefusalOf } from "./lib/judge.ts";

test(
  "envelopes of Ansible Vault: taken apart, or what is wrong with them",
  () =>
    fuzz({
      corpus: "vault",
      inputs: 600,
      tokens: ["$ANSIBLE_VAULT;", "1.1;", "1.2;", "AES256", ";dev", "0a", "ff", "\n"],
      synchronous: false,
      check: async (bytes, draw) => {
        const text = bytes.toString();
        isVault(text);
        const envelope = parseVault(text);
        if (typeof envelope === "string") mustBeOneLine(envelope);
        else {
          must(envelope.mac.length === 32 && envelope.salt.length > 0, "no envelope");
          // Slow on purpose: of few.
          if (draw.chance(0.1)) must((await openVault(envelope, "no")) === null, "opened with any password");
        }
        const store = createSecretStore({ cwd: tmpdir(), env: {} });
        const opened = await orRefusalOf(["SECRET_FAILED"], () => store.openVaultFile(text, "secrets.yml"));
        must(opened === undefined, "opened without a password");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "files of age: opened as they were, or refused",
  async () => {
    const encrypter = new Encrypter();
    encrypter.setPassphrase("a passphrase");
    encrypter.setScryptWorkFactor(1);
    const sealed = Buffer.from(await encrypter.encrypt("the text"));
    await fuzz({
      corpus: "age",
      seeds: [sealed],
      inputs: 150,
      tokens: [
        "age-encryption.org/v1\n",
        "-> scrypt ",
        "-> X25519 ",
        "--- ",
        "-----BEGIN AGE ENCRYPTED FILE-----\n",
        " 1\n",
      ],
      synchronous: false,
      check: async (bytes) => {
        const store = createSecretStore({
          cwd: tmpdir(),
          env: { HOME: "/nonexistent" },
          ask: async () => "a passphrase",
        });
        const opened = await orRefusalOf(["SECRET_FAILED"], () => store.openAgeFile(bytes, "secrets.age"));
        must(opened === undefined || opened === "the text", `opened to ${JSON.stringify(opened)}`);
      },
    });
  },
  FUZZ_TIMEOUT_MS,
);
