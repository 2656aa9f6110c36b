import { afterAll } from "vitest";
import type { System } from "../../../src/core/system.ts";
import { createDirectSystem, type DirectSystem } from "../../../src/direct/direct-system.ts";
import type { OpenedSystem } from "../../../src/direct/users.ts";
import { createLateSystem } from "../../../src/system/remote-system.ts";
import { type ServedFleet, serveFleet } from "../../embedded/served.ts";
import { connectDirectly, type DirectHost } from "./host.ts";

interface SharedHost {
  readonly host: DirectHost<ServedFleet["fleet"]>;
  /** Shells and file session for all sandboxes: to open them took as long as a third of the tests. */
  readonly opened: OpenedSystem;
}

let starting: Promise<SharedHost> | undefined;

async function startHost(): Promise<SharedHost> {
  // Give the host the variable that git's tests set for this process.
  const { fleet, stop } = await serveFleet(["--env", "GIT_ALLOW_PROTOCOL=file"]);
  const host = await connectDirectly(fleet, stop);
  return { host, opened: await host.open() };
}

/** Make a System below a root with shells and a file session that stay open when it is closed. */
function belowRoot({ host, opened: { shells, files, system } }: SharedHost, root: string): DirectSystem {
  const keptOpen = { close: { value: () => {} } };
  return createDirectSystem({
    files: Object.create(files, keptOpen),
    shells: Object.create(shells, keptOpen),
    user: system.user,
    forward: host.connection.forward,
    root,
  });
}

/** A System below a root that works over a connection, begun when it is first used, on a host that all tests of a file share. */
export function directSandboxSystem(root: string): {
  readonly system: System;
  /** Drop all that the System has read, because a test changes files behind its back. */
  forget(): void;
  close(): void;
} {
  let opened: DirectSystem | undefined;
  const begin = async (): Promise<System> => {
    starting ??= startHost();
    const shared = await starting;
    opened ??= belowRoot(shared, root);
    return opened;
  };
  const system = createLateSystem(begin, () => ({ uid: process.getuid!(), gid: process.getgid!() }));
  const dial: System["dial"] = async (host, port) => (await begin()).dial!(host, port);
  return {
    system: Object.assign(system, { dial }),
    forget: () => opened?.forget(),
    close: () => void opened?.close(),
  };
}

/** Stops the host of a test file when its tests have run. */
export function stopSandboxHost(): void {
  afterAll(async () => {
    const { host, opened } = (await starting) ?? {};
    await opened?.system.close();
    await host?.stop();
    starting = undefined;
  });
}
