import type { Connection } from "../../transport/transport.ts";
import { explainDirectEnd, startDirect } from "../direct.ts";
import type { HostRunOptions } from "./host-run.ts";
import { LAUNCH_EXITS, NO_NODE } from "./launch.ts";
import type { FirstWord } from "./speak.ts";

/** How hosts are worked on: by a bundle there, directly from here, or by a bundle where the host has a usable Node. */
export type Via = "bundle" | "direct" | "auto";

/** What is told of a host that `auto` works on directly. */
export const WITHOUT_NODE =
  "there is no usable Node: worked on directly, without a bundle (--via bundle insists on one)";

/** Whether the host said that nothing there can run a bundle. */
export function lacksNode(first: FirstWord): boolean {
  if (first.kind === NO_NODE) return true;
  return first.kind === "ended" && first.exit.kind === "exited" && first.exit.code === LAUNCH_EXITS.noNode;
}

/** The connection, with a process to be started on it that works from here. Fails as `startDirect` does. */
export async function openDirectly(
  connection: Connection,
  { endpoint, become, bundle, playbook }: HostRunOptions,
  signal: AbortSignal,
): Promise<Connection> {
  const process = await startDirect(connection, {
    ...{ endpoint, become, playbook, signal },
    bundleId: bundle.id,
  });
  return { ...connection, exec: async () => process };
}

export { explainDirectEnd };
