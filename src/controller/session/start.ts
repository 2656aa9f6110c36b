import type { RuntimeTraits } from "../../core/runtimes.ts";
import type { NodeLook } from "./answers.ts";
import { awayOf, startLimit } from "./away.ts";
import { canBringNode, type Next, type Script, type Session, sendsToUser, type Upload } from "./state.ts";

// The steps that start a script on the host, or send what a script needs.

/** Limit for a package manager to install Node. */
const INSTALL_MS = 600_000;

/**
 * Start the bundle, or work on the host from here. `look`: how the script looks for Node. Default: by its name, where a
 * lack would be met. `bring`: a runtime for the user to become, who asks for it.
 */
export function launch(session: Session, look?: NodeLook, bring?: RuntimeTraits): Next {
  const { setup, via, uploads } = session;
  if (via === "direct") return start(session, { is: "direct" });
  // No host can have a bundle built just now, so open SFTP while asking.
  const expectsUpload = !setup.bundle.reused && !sendsToUser(setup) && uploads.bytes === 0;
  const isMet = via === "auto" || canBringNode(setup.node);
  return start(session, {
    is: "launch",
    left: uploads.left,
    look: look ?? (isMet ? "name" : undefined),
    expectsUpload,
    ...(bring === undefined ? {} : { bring }),
  });
}

/** Start a script. */
export function start(session: Session, script: Script): Next {
  const away = awayOf(session.state);
  const limitMs = script.is === "install" ? INSTALL_MS : startLimit(session);
  return [
    { ...session, state: { is: "starting", script, listening: false, early: [], away } },
    [{ type: "exec", script, limitMs }],
  ];
}

/** Send files to temporary names. */
export function send(session: Session, files: Omit<Upload, "number">): Next {
  const { state, uploads } = session;
  const number = uploads.count + 1;
  const upload = { number, ...files };
  return [
    {
      ...session,
      state: { is: "uploading", upload, away: awayOf(state) },
      uploads: { ...uploads, count: number, left: files.bundle ? number : undefined },
    },
    [{ type: "upload", upload }],
  ];
}
