/** How encrypted files and values are opened. */
export interface SecretOptions {
  /** Files that hold an Ansible Vault password; an executable one is run and prints it. Beside them `ANSIBLE_VAULT_PASSWORD_FILE` is read. */
  readonly vaultPasswordFiles?: readonly string[];
  /** `label@source` or `source`, where the source is `prompt` or a file as above; one named `…-client` is told the label. */
  readonly vaultIds?: readonly string[];
  /** Asks for an Ansible Vault password. Default false. */
  readonly askVaultPassword?: boolean;
  /** Files of age identities. Default: those in `VOLLEY_AGE_IDENTITY`, then in `SOPS_AGE_KEY_FILE`, then `~/.config/volley/age.key`. */
  readonly ageIdentityFiles?: readonly string[];
}

/** Asks at the terminal without showing what is typed; null when nobody can be asked. */
export type AskSecret = (prompt: string) => Promise<string | null>;

/** What secrets are had with. */
export interface SecretStoreOptions extends SecretOptions {
  /** Absolute; what relative paths in the options are relative to. */
  readonly cwd: string;
  /** Default: the process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: nobody is asked. */
  readonly ask?: AskSecret;
  readonly signal?: AbortSignal;
}
