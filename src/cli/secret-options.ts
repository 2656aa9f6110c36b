import type { Command } from "commander";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { collect } from "./options.ts";

/** Flags of every command that may need secrets. */
export interface SecretFlags {
  readonly vaultPasswordFile?: readonly string[];
  readonly vaultId?: readonly string[];
  readonly askVaultPass?: boolean;
  readonly ageIdentity?: readonly string[];
}

/** Adds how encrypted files and values are opened. */
export function addSecretOptions(command: Command): Command {
  return command
    .option(
      "--vault-password-file <file>",
      "Ansible Vault password: a file, or a program that prints it (also $ANSIBLE_VAULT_PASSWORD_FILE); repeatable",
      collect,
    )
    .option(
      "--vault-id <label@source>",
      "Ansible Vault password of an id; the source is prompt, a file or a program; repeatable",
      collect,
    )
    .option("--ask-vault-pass", "ask for the Ansible Vault password")
    .option(
      "--age-identity <file>",
      "age identity for *.age files (default: $VOLLEY_AGE_IDENTITY, $SOPS_AGE_KEY_FILE, ~/.config/volley/age.key); repeatable",
      collect,
    );
}

/** What the flags say. */
export function secretOptions(flags: SecretFlags): SecretOptions {
  const { vaultPasswordFile, vaultId, askVaultPass, ageIdentity } = flags;
  return {
    ...(vaultPasswordFile === undefined ? {} : { vaultPasswordFiles: vaultPasswordFile }),
    ...(vaultId === undefined ? {} : { vaultIds: vaultId }),
    ...(askVaultPass === undefined ? {} : { askVaultPassword: askVaultPass }),
    ...(ageIdentity === undefined ? {} : { ageIdentityFiles: ageIdentity }),
  };
}
