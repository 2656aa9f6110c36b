import { printable, VolleyError } from "../../core/errors.ts";
import {
  chooseRuntime,
  parseBareHost,
  type RuntimeTraits,
  UNUSABLE,
  type UnusableReason,
} from "../../core/runtimes.ts";
import { INSTALLED, type LaunchAnswer, NO_NODE } from "./answers.ts";
import { end, failed } from "./loss.ts";
import { launch, send, start } from "./start.ts";
import { after, canBringNode, type Next, type NodeSetup, type Session, sendsToUser } from "./state.ts";

// A host without a usable Node: it is sent a runtime, its package manager installs Node, or it is worked on directly.

/** Take an answer of a launch script that concerns Node; undefined for other answers. */
export function answeredAboutNode(
  session: Session,
  word: LaunchAnswer,
  rest: readonly string[],
): Next | undefined {
  switch (word) {
    case NO_NODE:
      return withoutNode(session, rest);
    case UNUSABLE:
      return doWithout(session, REASONS[rest[0] as UnusableReason] ?? REASONS.run);
    case INSTALLED:
      return session.ending === undefined
        ? launch(withInstallEnd(session, rest), "version")
        : end(session, "cancelled", undefined);
    default:
      return undefined;
  }
}

/** Note the end of a package manager: its exit code, and the words of its last line. */
function withInstallEnd(session: Session, [code = "0", ...words]: readonly string[]): Session {
  if (code === "0") return session;
  const installFailure = printable(words.join(" ").trim() || `exit code ${code}`, 300);
  return { ...session, nodeTried: { ...session.nodeTried, installFailure } };
}

/** The bundle itself found no Node, or one that is too old. Undefined: nothing else can be tried. */
export function lacksNode(session: Session): Next | undefined {
  const { via, nodeTried, setup } = session;
  if (canBringNode(setup.node) && !nodeTried.version)
    return launch({ ...session, known: false, nodeTried: { ...nodeTried, version: true } }, "version");
  if (via !== "auto") return undefined;
  return doWithout(session, canBringNode(setup.node) ? REASONS.run : plainLack(setup.node));
}

function withoutNode(session: Session, description: readonly string[]): Next {
  const { setup, nodeTried } = session;
  const { mode, runtimes } = setup.node;
  const bare = parseBareHost(description);
  if (!canBringNode(setup.node) || bare === undefined) return doWithout(session, plainLack(setup.node));
  if (mode === "package") {
    if (nodeTried.install) return doWithout(session, installLack(nodeTried.installFailure));
    return after(
      [log(session, "notice", "there is no usable Node: its package manager installs one, once")],
      start({ ...session, nodeTried: { ...nodeTried, install: true } }, { is: "install" }),
    );
  }
  const choice = chooseRuntime(runtimes, bare);
  if (!("runtime" in choice)) return doWithout(session, { ...choice, level: "warn" });
  if (session.ending !== undefined) return end(session, "cancelled", undefined);
  const { runtime } = choice;
  const untold = { ...session, known: false };
  return after(
    [log(session, "notice", sendingText(runtime))],
    sendsToUser(setup)
      ? launch(untold, undefined, runtime)
      : send(untold, { bundle: !bare.hasBundle, runtime }),
  );
}

/** Return the line about a runtime that is being sent. */
function sendingText({ version, bytes }: RuntimeTraits): string {
  return `there is no usable Node: Node ${version} is sent, once (${(bytes / 2 ** 20).toFixed(1)} MiB)`;
}

/** The lack of a host that nothing was tried on. */
function plainLack({ mode }: NodeSetup): Lack {
  return mode === "send"
    ? { why: "", hint: "after `volley runtime fetch` runs send one, once", level: "notice" }
    : { why: "", hint: "", level: "info" };
}

/** The lack of a host whose package manager brought no usable Node. */
function installLack(failure: string | undefined): Lack {
  if (failure === undefined) return REASONS.package;
  return { ...REASONS.package, why: `its package manager could not install one: ${failure}` };
}

/** Why a host goes without a runtime. */
interface Lack {
  /** Empty where nothing but the missing Node is to be told. */
  readonly why: string;
  readonly hint: string;
  /** `info` where the lack is wanted. */
  readonly level: LogLevel;
}

const REASONS: Readonly<Record<UnusableReason | "package", Lack>> = {
  denied: {
    why: "the directory of runtimes is not writable there, or belongs to another user",
    hint: "name another directory with volley_runtime_dir",
    level: "warn",
  },
  space: {
    why: "Node could not be unpacked there: the disk is full, or a quota is reached",
    hint: "make room, or name another directory with volley_runtime_dir",
    level: "warn",
  },
  noexec: {
    why: "Node cannot be started from its directory there, which is mounted noexec",
    hint: "name a directory on another file system with volley_runtime_dir",
    level: "warn",
  },
  run: {
    why: "the Node that was sent, or installed there, cannot be started",
    hint: "the lines of the host above say why; `volley runtime fetch --libc musl` brings one with libraries of its own",
    level: "warn",
  },
  package: {
    why: "its package manager has no Node 18 or newer, or an older one comes first in PATH",
    hint: "install Node by hand, or let runs send one: volley_runtime: send",
    level: "warn",
  },
};

/** Work on the host from here; where a bundle is insisted on, fail. */
function doWithout(session: Session, { why, hint, level }: Lack): Next {
  const { via, setup } = session;
  const { host } = setup.endpoint;
  const reason = why === "" ? "" : `: ${why}`;
  if (via !== "auto") {
    const error = new VolleyError(
      "NODE_MISSING",
      `${host}: there is no usable Node${reason}`,
      hint === "" ? {} : { hint },
    );
    return failed(session, error);
  }
  const remedy = hint === "" ? " (--via bundle insists on one)" : ` (${hint})`;
  const text = `there is no usable Node${reason}; worked on directly, without a bundle${remedy}`;
  return after([log(session, level, text)], launch({ ...session, via: "direct", known: false }));
}

type LogLevel = "info" | "notice" | "warn";

function log(session: Session, level: LogLevel, text: string): Next[1][number] {
  return { type: "emit", event: { type: "log", host: session.setup.endpoint.host, level, text } };
}
