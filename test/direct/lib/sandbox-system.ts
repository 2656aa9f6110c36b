import { afterAll } from "vitest";
import type { System } from "../../../src/core/system.ts";
import type { OpenedSystem } from "../../../src/direct/users.ts";
import { createLateSystem } from "../../../src/system/remote-system.ts";
import { type ServedFleet, serveFleet } from "../../embedded/served.ts";
import { connectDirectly, type DirectHost } from "./host.ts";

let starting: Promise<DirectHost<ServedFleet["fleet"]>> | undefined;

async function startHost(): Promise<DirectHost<ServedFleet["fleet"]>> {
  // Give the host the variable that git's tests set for this process.
  const { fleet, stop } = await serveFleet(["--env", "GIT_ALLOW_PROTOCOL=file"]);
  return connectDirectly(fleet, stop);
}

/** A System below a root that works over a connection, begun when it is first used, on a host that all tests of a file share. */
export function directSandboxSystem(root: string): {
  readonly system: System;
  /** Drop all that the System has read, because a test changes files behind its back. */
  forget(): void;
  close(): void;
} {
  let opening: Promise<OpenedSystem> | undefined;
  let opened: OpenedSystem | undefined;
  const begin = async (): Promise<System> => {
    starting ??= startHost();
    opening ??= starting.then((host) => host.open({ root }));
    opened = await opening;
    return opened.system;
  };
  const system = createLateSystem(begin, () => ({ uid: process.getuid!(), gid: process.getgid!() }));
  const dial: System["dial"] = async (host, port) => (await begin()).dial!(host, port);
  return {
    system: Object.assign(system, { dial }),
    forget: () => opened?.system.forget(),
    close: () => void opened?.system.close(),
  };
}

/** Stops the host of a test file when its tests have run. */
export function stopSandboxHost(): void {
  afterAll(async () => {
    await (await starting)?.stop();
    starting = undefined;
  });
}
