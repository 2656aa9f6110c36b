import { type Become, DEFAULT_BECOME_USER } from "../core/become.ts";
import type { Host } from "../core/inventory.ts";
import type { JobBecome } from "../core/protocol.ts";
import { type BecomeOptions, becomeWay, playUser } from "./become-settings.ts";
import type { PlayHosts } from "./plan.ts";

/** Who a host's part of a run is carried out as. */
export interface HostBecome {
  /** Whom the bundle is started as; null: whoever is logged in. */
  readonly start: Become | null;
  /** What the process must know to carry out plays, roles and tasks as others. */
  readonly job: JobBecome;
  /** Texts that must never be told. */
  readonly secrets: readonly string[];
}

/**
 * Finds who the bundle is started as: the user of every play; where they differ, root if a play is root's, for root can
 * be anybody, else whoever is logged in. Plays of other users are carried out by processes of those that it starts.
 */
export function hostBecome(
  host: Host,
  login: string,
  plays: readonly PlayHosts[],
  options: BecomeOptions,
): HostBecome {
  const way = becomeWay(host, options);
  const wanted = plays.map(({ index, play }) => [index, playUser(host, play, options) ?? login] as const);
  const users = new Set(wanted.map(([, user]) => user));
  const user =
    users.size === 1 ? [...users][0]! : users.has(DEFAULT_BECOME_USER) ? DEFAULT_BECOME_USER : login;
  const others = wanted.filter(([, each]) => each !== user);
  const { password, ...rest } = way;
  return {
    start: user === login ? null : { ...way, user },
    job: {
      login,
      users: Object.fromEntries(others),
      // The password is the login user's to give; root needs none.
      way: user === login && login !== DEFAULT_BECOME_USER ? way : rest,
    },
    secrets: password === undefined ? [] : [password],
  };
}
