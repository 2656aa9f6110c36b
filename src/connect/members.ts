import type { LimitFunction } from "p-limit";
import { type BecomeOptions, becomeWay } from "../controller/prepare/reach.ts";
import type { SerializedError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { isSecret, type Secret } from "../core/secret.ts";
import { type Become, becomeUser } from "../core/unix/users.ts";
import type { Endpoint, Transport } from "../transport/transport.ts";
import { createMask, type Mask } from "../vars/mask.ts";
import { type SecretStore, textsOf } from "../vars/secrets/store.ts";

/** A host of a fleet. */
export interface Member {
  readonly name: string;
  readonly host: Host;
  readonly endpoint: Endpoint;
  /** Its connections are leases of the one that is kept. */
  readonly transport: Transport;
}

/** All that the operations of a fleet share. */
export interface Core {
  readonly inventory: Inventory;
  readonly limit: LimitFunction;
  readonly forks: number;
  readonly become: BecomeOptions;
  readonly secrets: SecretStore;
  readonly cwd: string;
  /** Aborted when the fleet is closed. */
  readonly closing: AbortSignal;
  /** The ends of work that the fleet calls for before it closes its connections. */
  readonly endings: Set<() => Promise<void>>;
  readonly masking: Masking;
}

/** The user to become: a name, `true` for root, `false` for the login user. */
export type WantedUser = boolean | string | undefined;

/**
 * Return the user to become on a host, and how: as asked for, else as the fleet's options or the inventory say. Fails with
 * `INVENTORY_INVALID` or `USAGE`.
 */
export function becomeOn({ host }: Member, wanted: WantedUser, options: BecomeOptions): Become | null {
  const said = wanted ?? options.become ?? host.connection.become ?? false;
  const user = becomeUser(said, options.becomeUser);
  return user === null ? null : { ...becomeWay(host, options), user };
}

/** Masks the secrets that a fleet knows of. */
export interface Masking {
  /** Learn texts that must not be shown. */
  add(texts: Iterable<string>): void;
  text(text: string): string;
  error(error: SerializedError): SerializedError;
  /** The mask of what is known by now; null: nothing to mask. */
  mask(): Mask | null;
}

/** Make a {@link Masking}, which knows no secret yet. */
export function createMasking(): Masking {
  const known = new Set<string>();
  let mask: Mask | null | undefined;
  const current = (): Mask | null => {
    if (mask === undefined) mask = createMask(known);
    return mask;
  };
  const text = (plain: string): string => current()?.text(plain) ?? plain;
  return {
    add: (texts) => {
      const before = known.size;
      for (const each of texts) known.add(each);
      if (known.size !== before) mask = undefined;
    },
    text,
    error: (error) => ({
      ...error,
      message: text(error.message),
      ...(error.hint === undefined ? {} : { hint: text(error.hint) }),
      ...(error.stack === undefined ? {} : { stack: text(error.stack) }),
    }),
    mask: current,
  };
}

/** Return a text, or a secret's value, which is masked from then on. Fails with `SECRET_FAILED`. */
export async function openText(value: string | Secret, name: string, core: Core): Promise<string> {
  if (!isSecret(value)) return value;
  const opened = await core.secrets.value(value, name, undefined);
  core.masking.add(textsOf(opened));
  return textsOf(opened)[0] ?? String(opened);
}
