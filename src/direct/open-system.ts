import type { FileSession } from "../transport/file-session.ts";
import type { Connection } from "../transport/transport.ts";
import type { Channels } from "./channels.ts";
import { createDirectSystem, type DirectSystem } from "./direct-system.ts";
import { openShells } from "./identity.ts";
import { openLateFiles } from "./late-files.ts";
import type { Shells, StartScript } from "./shell.ts";

/** How to act as one user of a host. */
export interface UserAccess {
  readonly start: StartScript;
  files(): Promise<FileSession>;
  /** See {@link Connection.forward}. */
  readonly forward: Connection["forward"];
  /** Whether every start gives a password: none is given twice before it is known to be right. */
  readonly givesPassword?: boolean;
}

/** A System, with the shells it works through. */
export interface OpenedSystem {
  readonly system: DirectSystem;
  readonly shells: Shells;
}

/** Opens a file session and a shell at the same time. Fails as either does; what was opened by then is closed. */
export async function openSystem(
  { start, files, forward, givesPassword = false }: UserAccess,
  channels: Channels,
  options: { readonly root?: string } = {},
): Promise<OpenedSystem> {
  const opening = openShells(start, channels);
  const openFiles = (): Promise<FileSession> => openLateFiles(files, channels);
  const [shell, session] = await Promise.allSettled([
    opening,
    givesPassword ? opening.then(openFiles) : openFiles(),
  ]);
  if (shell.status === "fulfilled" && session.status === "fulfilled") {
    const { shells, user } = shell.value;
    return {
      system: createDirectSystem({ files: session.value, shells, user, forward, ...options }),
      shells,
    };
  }
  if (shell.status === "fulfilled") shell.value.shells.close();
  if (session.status === "fulfilled") session.value.close();
  // Why nobody becomes another user is told by the shell; SFTP only says that it is not there.
  throw shell.status === "rejected" ? shell.reason : (session as PromiseRejectedResult).reason;
}
