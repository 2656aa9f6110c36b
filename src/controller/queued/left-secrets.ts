import { randomBytes } from "node:crypto";
import { VolleyError } from "../../core/errors.ts";
import type { Host } from "../../core/inventory.ts";
import { type SecretSource, secretSource } from "../../core/secret.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";

// Secrets that workers read, for hosts with the var `volley_secrets: worker`. The controller knows a placeholder for each.

/** A secret that a worker reads. */
export interface LeftSecret {
  /** Stands in vars in the place of the value. */
  readonly placeholder: string;
  readonly source: SecretSource;
}

/** The secrets of a run that are left to workers. */
export interface LeftSecrets {
  /** Return the store that a host's secrets are read from: placeholders where they are left to the worker. */
  storeOf(host: Host): SecretStore;
  /** True once a secret was left to a worker. */
  readonly hasAny: boolean;
  /** Return the secrets whose placeholders are in a text. */
  in(text: string): readonly LeftSecret[];
}

const PLACEHOLDER = /volley-secret-[0-9a-f]{32}/g;

/** Return whether a value has a placeholder in the place of a secret, at any depth. */
export function hasLeft(value: unknown): boolean {
  if (typeof value === "string") return value.search(PLACEHOLDER) >= 0;
  return typeof value === "object" && value !== null && Object.values(value).some(hasLeft);
}

/** Refuse a text of an action on the controller that has a placeholder in the place of a secret. Fails with `DELEGATE_REFUSED`. */
export function refuseLeft(text: string): void {
  if (!hasLeft(text)) return;
  throw new VolleyError("DELEGATE_REFUSED", "it needs a secret that only the host's worker reads", {
    hint: "leave this secret to the controller (volley_secrets: controller), or do the task on the host",
  });
}

/** Leave secrets to workers; all others are read from `store`. */
export function leaveSecrets(store: SecretStore): LeftSecrets {
  const bySource = new Map<string, LeftSecret>();
  const byPlaceholder = new Map<string, LeftSecret>();
  const placeholders: SecretStore = {
    ...store,
    value: (secret, what, location) => {
      const source = secretSource(secret);
      // A person is asked here, and a file of the inventory is opened here.
      if (source.kind === "prompt" || source.kind === "opened") return store.value(secret, what, location);
      const key = JSON.stringify(source);
      let left = bySource.get(key);
      if (left === undefined) {
        left = { placeholder: `volley-secret-${randomBytes(16).toString("hex")}`, source };
        bySource.set(key, left);
        byPlaceholder.set(left.placeholder, left);
      }
      return Promise.resolve(left.placeholder);
    },
  };
  return {
    storeOf: ({ connection }) =>
      connection.secrets === "worker" && connection.connection !== "local" ? placeholders : store,
    get hasAny() {
      return byPlaceholder.size > 0;
    },
    in: (text) => [...new Set(text.match(PLACEHOLDER))].flatMap((found) => byPlaceholder.get(found) ?? []),
  };
}
