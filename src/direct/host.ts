import type { Machine } from "../core/program.ts";
import type { JobBecome } from "../core/protocol.ts";
import { type Become, DEFAULT_BECOME_USER } from "../core/unix/users.ts";
import type { Connection, Endpoint, Sessions } from "../transport/transport.ts";
import { askForFacts, gatherDirectFacts, passwdOf } from "./facts.ts";
import { sessionsOf } from "./sessions.ts";
import {
  becomeAccess,
  createDirectUsers,
  loginAccess,
  type OpenedSystem,
  openSystem,
  type UserAccess,
} from "./users.ts";

/** A host that is ready to be worked on. */
export interface DirectHost {
  readonly opened: OpenedSystem;
  readonly sessions: Sessions;
  access(become: Become): UserAccess;
}

/** Options of opening a host. */
interface OpenHostOptions {
  readonly endpoint: Endpoint;
  /** The user to become; null: the login user. */
  readonly become: Become | null;
  readonly signal: AbortSignal;
}

/** Open a host over its connection. Fails as {@link openSystem} does. */
export async function openHost(
  connection: Connection,
  { endpoint, become, signal }: OpenHostOptions,
): Promise<DirectHost> {
  const login = loginAccess(connection, signal);
  const as = { endpoint, signal };
  const own = become === null ? login : becomeAccess(login, become, as);
  const sessions = sessionsOf(connection, endpoint.host);
  const isRoot = (become?.user ?? endpoint.user) === DEFAULT_BECOME_USER;
  return {
    opened: await openSystem(own, sessions),
    sessions,
    // Root may become anybody; elsewhere the login user has the rights.
    access: (other) => becomeAccess(isRoot ? own : login, other, as),
  };
}

/** Open a machine that tasks of other hosts are delegated to, as its login user. Fails as {@link openSystem} does. */
export async function openMachine(
  connection: Connection,
  {
    endpoint,
    job,
    signal,
  }: { readonly endpoint: Endpoint; readonly job: JobBecome; readonly signal: AbortSignal },
): Promise<Machine> {
  const { opened, sessions, access } = await openHost(connection, { endpoint, become: null, signal });
  const { system, shells } = opened;
  const records = await askForFacts(shells);
  const facts = await gatherDirectFacts(system, records, system.user.env);
  const users = createDirectUsers({
    own: system,
    self: endpoint.user,
    job,
    sessions,
    passwd: passwdOf(records),
    access,
  });
  return {
    facts,
    systemOf: (become) => {
      // A task must not rely on what the one before it saw.
      users.forget();
      return users.of(users.userOf(become, undefined));
    },
  };
}
