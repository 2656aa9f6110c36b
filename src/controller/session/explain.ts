import { constants } from "node:os";
import { isVolleyError, type SerializedError, VolleyError } from "../../core/errors.ts";
import type { Outcome, TargetEvent } from "../../core/events.ts";
import { type Become, keepsOwnCopy } from "../../core/unix/users.ts";
import { explainBecome } from "../../transport/become.ts";
import type { Endpoint, RemoteExit } from "../../transport/transport.ts";
import { LAUNCH_EXITS } from "./answers.ts";

/** The end of a process of the run, with details that explain it. */
export interface ProcessEnd {
  readonly exit: RemoteExit;
  /** The last output to standard error. */
  readonly stderr: string;
  /** The output of sudo, doas or su before the process was the wanted user's; empty without a dialogue. */
  readonly said: string;
  /** True when the program asked for a password and got one. */
  readonly asked: boolean;
}

/** The message about a host that ends a run with its login, and the remedy. */
export const ENDS = {
  text: "the host ends what a login leaves behind (KillUserProcesses=yes in logind.conf)",
  hint: "--resume goes on behind what was done; `loginctl enable-linger` for the user, once, lets the host work on without a connection",
} as const;

/** The reason for losing a host that a task restarts. */
export const RESTARTS = "the host restarts";

/** Return the outcome for a host whose part was broken off by an error. */
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

/** Return why a bundle did not start. */
export function explainFailedStart(
  { host, user }: Pick<Endpoint, "host" | "user">,
  become: Become | null,
  end: ProcessEnd,
): VolleyError {
  const { exit, asked } = end;
  const stderr = end.stderr === "" ? end.said : end.stderr;
  const lines = stderr.trim().split("\n");
  const said = lastLineOf(stderr);
  const volley = lines.find((line) => line.startsWith("volley: "));
  if (exit.kind === "lost") return new VolleyError("CONNECTION_LOST", `${host}: ${exit.reason}`);
  const code = exit.kind === "exited" ? exit.code : undefined;
  if (code === LAUNCH_EXITS.noNode)
    return new VolleyError("NODE_MISSING", `${host}: ${(volley ?? said).replace(/^volley: /, "")}`, {
      hint: "after `volley runtime fetch` runs send one; --via auto works directly, without Node",
    });
  if (code === LAUNCH_EXITS.noCache) {
    const owner = become !== null && keepsOwnCopy(become) ? become.user : user;
    return new VolleyError(
      "UPLOAD_FAILED",
      `${host}: cannot keep the bundle in ${owner}'s home: ${said || "the directory cannot be made"}`,
    );
  }
  if (become !== null) {
    const refused = explainBecome({ host, login: user, become }, stderr, asked, code);
    if (refused !== undefined) return refused;
  }
  const text = said === "" ? "" : `: ${said}`;
  const signal = signalOf(exit);
  if (signal === undefined) {
    return new VolleyError(
      "PROTOCOL_INVALID",
      `${host}: the bundle could not be started (exit code ${code})${text}`,
    );
  }
  return new VolleyError(
    "PROCESS_FAILED",
    `${host}: the bundle could not be started: ${signal} ended it${text}`,
    { hint: "see whether `node --version` works there, and whether the host is short of memory" },
  );
}

/** Return the error for a bundle, with this SHA-256, that arrived damaged each time. */
export function explainDamage(host: string, id: string, times: number): VolleyError {
  return new VolleyError(
    "UPLOAD_FAILED",
    `${host}: the bundle arrived damaged ${times} times: its SHA-256 is not ${id.slice(0, 12)}…`,
    { hint: "something between here and the host, or its disk, changes data" },
  );
}

/** Return the error for a host that was being worked on directly when another controller was ended. */
export function explainDirectEnd(host: string): VolleyError {
  return new VolleyError(
    "CONNECTION_LOST",
    `${host}: it was worked on directly, which ended with the controller that did it`,
    { hint: "run the playbook again: what is done already is left as it is" },
  );
}

/** A lost host to which the controller could not reconnect in time. */
interface Loss {
  /** The reason of the loss. */
  readonly why: string;
  /** Milliseconds for which the controller tried to reconnect. */
  readonly limitMs: number;
  /** The error of the last attempt. */
  readonly thrown: unknown;
  readonly endsWithLogin: boolean;
}

/** Return the error for a host to which the controller could not reconnect in time. */
export function explainLoss(host: string, { why, limitMs, thrown, endsWithLogin }: Loss): VolleyError {
  const unnamed = (text: string): string =>
    text.startsWith(`${host}: `) ? text.slice(host.length + 2) : text;
  // The driver cancels a try when the time is up: that error says nothing about the host.
  const last = isVolleyError(thrown) && thrown.code !== "CANCELLED" ? thrown.message : why;
  const tried = last === why ? "" : `; the last try: ${unnamed(last)}`;
  return new VolleyError(
    "CONNECTION_LOST",
    `${host}: ${unnamed(why)}, and it did not come back within ${limitMs / 1_000} s${tried}${endsWithLogin ? `; ${ENDS.text}` : ""}`,
    {
      hint:
        why === RESTARTS
          ? "look at the host's console; once it is up, --resume goes on behind the restart"
          : endsWithLogin
            ? ENDS.hint
            : "what it did by itself is in its journal: volley attach, or --resume, goes on with the run",
    },
  );
}

/** Return the error for a run that ended on the host without its last word, `bye`. */
export function explainSilence(
  host: string,
  { exit, stderr }: ProcessEnd,
  gone: Extract<TargetEvent, { type: "gone" }> | undefined,
  endsWithLogin: boolean,
): SerializedError {
  const last = lastLineOf(stderr);
  const how = gone === undefined ? howEnded(exit) : whyGone(gone, endsWithLogin);
  return {
    code: "CONNECTION_LOST",
    message: `${host}: the run ended without saying how: ${how}${last === "" ? "" : `; last said: ${last}`}`,
    ...(gone !== undefined && endsWithLogin ? { hint: ENDS.hint } : {}),
  };
}

function whyGone(
  { restarted, asked }: Extract<TargetEvent, { type: "gone" }>,
  endsWithLogin: boolean,
): string {
  if (restarted) return "the host was restarted meanwhile";
  if (asked === true) return "the host was to restart, and has not gone down in its time";
  return endsWithLogin
    ? `${ENDS.text}, and the connection was lost`
    : "the process that carried it out was killed";
}

function howEnded(exit: RemoteExit): string {
  if (exit.kind === "lost") return exit.reason;
  const signal = signalOf(exit);
  if (signal !== undefined) return `${signal} ended it`;
  return exit.kind === "exited" ? `it exited with code ${exit.code}` : "it was ended";
}

/** Return the end of a process without any output. */
export function silentEnd(exit: RemoteExit): ProcessEnd {
  return { exit, stderr: "", said: "", asked: false };
}

/** Return the reason for losing a host whose process ended in this way. */
export function reasonOf(exit: RemoteExit): string {
  return exit.kind === "lost" ? exit.reason : "its process ended";
}

/** Return the last line of a text; empty for an empty text. */
export function lastLineOf(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

/** Return the signal that ended a process, such as `SIGSEGV`. A shell, or sudo, reports a signal as an exit code. */
function signalOf(exit: RemoteExit): string | undefined {
  if (exit.kind === "signalled") return `SIG${exit.signal.replace(/^SIG/, "")}`;
  if (exit.kind !== "exited" || exit.code <= 128) return undefined;
  return Object.entries(constants.signals).find(([, number]) => number === exit.code - 128)?.[0];
}
