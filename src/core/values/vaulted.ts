/**
 * Stands in a compiled playbook for a value that is encrypted with Ansible Vault: neither the bundle nor the cache holds
 * it in clear. A Job brings the values.
 */
export class Vaulted {
  /** Index in the Job's values. */
  readonly index: number;
  /** The place of the value, for errors: `site.yml:7`. */
  readonly place: string;
  constructor(index: number, place: string) {
    this.index = index;
    this.place = place;
  }
}

/** A text of a playbook that is encrypted with Ansible Vault; it stays on the controller. */
export interface VaultedText {
  /** A single value, or a whole file of vars. */
  readonly kind: "value" | "file";
  readonly text: string;
  readonly file: string;
  readonly line?: number;
  /** True where a run may never come to need it: that it cannot be opened fails only the task that asks for it. */
  readonly isLate: boolean;
}

/** What became of a {@link VaultedText}: its value, of a file its vars; or the reason why it stays closed. */
export type VaultedValue = { readonly value: unknown } | { readonly error: string };
