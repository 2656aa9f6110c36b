import { hostname, userInfo } from "node:os";
import type { HostLock } from "../agent/lock.ts";
import { openHost, withoutPasswords } from "../controller/prepare/plan.ts";
import type { AssetStore } from "../core/asset.ts";
import type { Facts } from "../core/facts.ts";
import type { Host } from "../core/inventory.ts";
import { type Job, PROTOCOL_VERSION } from "../core/protocol.ts";
import { mapSecrets } from "../core/secret.ts";
import type { Become } from "../core/unix/users.ts";
import type { Vars } from "../core/values/vars.ts";
import { askForFacts, gatherDirectFacts } from "../direct/facts.ts";
import { type DirectHost, openHost as openDirectHost } from "../direct/host.ts";
import { takeDirectLock } from "../direct/lock.ts";
import { hostVariables } from "../engine/context.ts";
import { RENDER_BESIDE_OTHERS_MS } from "../engine/limits.ts";
import { createHostLook, createRenderer, type Renderer } from "../engine/render.ts";
import { createTemplates } from "../template/index.ts";
import type { Connection } from "../transport/transport.ts";
import { MASK } from "../vars/mask.ts";
import type { Core, Member } from "./members.ts";

/** A host that actions work on over its connection, as one user. The host is looked at when the workplace is opened. */
export interface Workplace {
  readonly connection: Connection;
  readonly opened: DirectHost["opened"];
  readonly facts: Facts;
  readonly renderer: Renderer;
  /** The host's vars as templates see them; `isOpen`: with the values of secrets, which are asked for then. */
  vars(check: boolean, diff: boolean): Vars;
  openVars(check: boolean, diff: boolean): Promise<Vars>;
  /** Gather the facts anew. */
  gather(): Promise<Facts>;
  /** Take the lock that runs take, until it is given back. Fails with `LOCKED` or `CANCELLED`. */
  lock(run: string, signal: AbortSignal): Promise<HostLock>;
  /** Forget what was seen of the host: a command may have changed anything. */
  forget(): void;
  close(): void;
}

/** For another run on the host to end. */
const LOCK_WAIT_MS = 10_000;

/** Open a host to work on. Fails as connecting does, and with `SFTP_UNAVAILABLE` or `BECOME_FAILED`. */
export async function openWorkplace(
  member: Member,
  core: Core,
  become: Become | null,
  assets: AssetStore,
  signal: AbortSignal,
): Promise<Workplace> {
  const connection = await member.transport.connect(member.endpoint, signal);
  try {
    const { endpoint } = member;
    // Shells and file session outlive the operation that opens them.
    const host = await openDirectHost(connection, { endpoint, become, signal: core.closing });
    const { system, shells } = host.opened;
    const gather = async (): Promise<Facts> =>
      await gatherDirectFacts(system, await askForFacts(shells), system.user.env);
    const { look, forget } = createHostLook(system);
    const renderer = createRenderer(assets, () => createTemplates, {
      env: { ...system.user.env },
      limitMs: RENDER_BESIDE_OTHERS_MS,
      look,
    });
    const facts = await gather();
    const varsOf = (own: Host, check: boolean, diff: boolean): Vars =>
      hostVariables(jobOf(own, core, check, diff), facts, renderer.renderVar);
    let whole: Promise<Host> | undefined;
    return {
      connection,
      opened: host.opened,
      facts,
      renderer,
      gather,
      vars: (check, diff) => {
        const vars = mapSecrets(member.host.vars, () => MASK) as Host["vars"];
        return varsOf({ ...member.host, vars }, check, diff);
      },
      openVars: async (check, diff) => {
        whole ??= openHost(member.host, core.secrets);
        const own = await whole;
        core.masking.add(Object.values(own.secretTexts ?? {}).flat());
        return varsOf(own, check, diff);
      },
      lock: (run, lockSignal) =>
        takeDirectLock(shells, {
          ...{ run, host: member.name, controller: `${userInfo().username}@${hostname()}` },
          ...{ waitMs: LOCK_WAIT_MS, signal: lockSignal, onWait: () => {} },
        }),
      forget: () => {
        system.forget();
        forget();
      },
      close: () => connection.close(),
    };
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

/** The job that a run of one action would have for the host: what templates know is made of it. */
function jobOf(host: Host, { inventory, forks }: Core, check: boolean, diff: boolean): Job {
  const groups = [...inventory.groups].map(([name, group]) => [name, group.hosts] as const);
  return {
    protocol: PROTOCOL_VERSION,
    host: host.name,
    groups: host.groups,
    vars: withoutPasswords(host.vars),
    inventoryGroups: Object.fromEntries(groups),
    hostVars: {},
    plays: [],
    options: { check, diff, tags: [], skipTags: [], barriers: false, forks },
  };
}
