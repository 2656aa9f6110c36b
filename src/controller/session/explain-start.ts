import { constants } from "node:os";
import { type Become, keepsOwnCopy } from "../../core/become.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Outcome } from "../../core/events.ts";
import { explainBecome } from "../../transport/become/explain.ts";
import type { Endpoint, RemoteExit } from "../../transport/transport.ts";
import { LAUNCH_EXITS } from "./launch.ts";

/** What is known of a bundle that did not start. */
export interface FailedStart {
  readonly endpoint: Endpoint;
  readonly become: Become | null;
  readonly exit: RemoteExit;
  /** The end of what it wrote to standard error. */
  readonly stderr: string;
  /** Whether the password was asked for, and given. */
  readonly asked: boolean;
}

/** Why a bundle did not start, as an error that says what to do. */
export function explainFailedStart({ endpoint, become, exit, stderr, asked }: FailedStart): VolleyError {
  const { host, user } = endpoint;
  const lines = stderr.trim().split("\n");
  const said = lines.at(-1) ?? "";
  const volley = lines.find((line) => line.startsWith("volley: "));
  if (exit.kind === "lost") return new VolleyError("CONNECTION_LOST", `${host}: ${exit.reason}`);
  const code = exit.kind === "exited" ? exit.code : undefined;
  if (code === LAUNCH_EXITS.noNode) {
    return new VolleyError("NODE_MISSING", `${host}: ${(volley ?? said).replace(/^volley: /, "")}`);
  }
  if (code === LAUNCH_EXITS.noCache) {
    return new VolleyError(
      "UPLOAD_FAILED",
      `${host}: cannot keep the bundle in ${become !== null && keepsOwnCopy(become) ? become.user : user}'s home: ${said || "the directory cannot be made"}`,
    );
  }
  if (become !== null) {
    const refused = explainBecome({ host, login: user, become }, stderr, asked, code);
    if (refused !== undefined) return refused;
  }
  const text = said === "" ? "" : `: ${said}`;
  const signal = signalOf(exit);
  if (signal !== undefined) {
    return new VolleyError(
      "PROCESS_FAILED",
      `${host}: the bundle could not be started: ${signal} ended it${text}`,
      { hint: "see whether `node --version` works there, and whether the host is short of memory" },
    );
  }
  return new VolleyError(
    "PROTOCOL_INVALID",
    `${host}: the bundle could not be started (exit code ${code})${text}`,
  );
}

/** The signal that ended a process, as it is named on the host: `SIGSEGV`; a shell, or sudo, makes an exit code of it. */
export function signalOf(exit: RemoteExit): string | undefined {
  if (exit.kind === "signalled") return `SIG${exit.signal.replace(/^SIG/, "")}`;
  if (exit.kind !== "exited" || exit.code <= 128) return undefined;
  return Object.entries(constants.signals).find(([, number]) => number === exit.code - 128)?.[0];
}

/** The error of a bundle, with this SHA-256, that did not arrive whole. */
export function explainDamage(host: string, id: string, tries: number): VolleyError {
  return new VolleyError(
    "UPLOAD_FAILED",
    `${host}: the bundle arrived damaged ${tries} times: its SHA-256 is not ${id.slice(0, 12)}…`,
    { hint: "something between here and the host, or its disk, changes data" },
  );
}

/** What is known of a host that was lost and did not come back. */
interface Loss {
  /** Why it was lost. */
  readonly reason: string;
  /** How long it was tried. */
  readonly limitMs: number;
  /** What the last try came to; undefined when its time was up before it came to anything. */
  readonly last: string | undefined;
  /** Whether the host ends what a login leaves behind. */
  readonly ends: boolean;
}

/** What is said of a host that ends what a login leaves behind, and what to do. */
export const ENDS = {
  text: "the host ends what a login leaves behind (KillUserProcesses=yes in logind.conf)",
  hint: "--resume goes on behind what was done; `loginctl enable-linger` for the user, once, lets the host work on without a connection",
} as const;

/** Why a host that was told to restart is away. */
export const RESTARTS = "the host restarts";

/** The error of a host that was lost and did not come back in time. */
export function explainLoss(host: string, { reason, limitMs, last, ends }: Loss): VolleyError {
  const said = (text: string): string => (text.startsWith(`${host}: `) ? text.slice(host.length + 2) : text);
  const why = last === undefined || last === reason ? "" : `; the last try: ${said(last)}`;
  return new VolleyError(
    "CONNECTION_LOST",
    `${host}: ${said(reason)}, and it did not come back within ${limitMs / 1_000} s${why}${ends ? `; ${ENDS.text}` : ""}`,
    {
      hint:
        reason === RESTARTS
          ? "look at the host's console; once it is up, --resume goes on behind the restart"
          : ends
            ? ENDS.hint
            : "what it did by itself is in its journal: volley attach, or --resume, goes on with the run",
    },
  );
}

/** What a failure before the bundle ran makes of the host. */
export function outcomeOf(thrown: unknown): Outcome {
  switch ((thrown as Partial<VolleyError>).code) {
    case "CONNECT_FAILED":
    case "AUTH_FAILED":
    case "HOST_KEY_UNKNOWN":
    case "HOST_KEY_CHANGED":
      return "unreachable";
    case "CONNECTION_LOST":
      return "lost";
    case "CANCELLED":
      return "cancelled";
    default:
      return "failed";
  }
}
