import { type Command, Option } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { QueueConnections } from "../../queue/connect.ts";
import type { QueueKey, Seal } from "../../queue/seal.ts";
import { expandHome } from "../terminal.ts";

// Options of the commands that use a queue.

/** Flags of every command that uses a queue. */
export interface QueueFlags {
  readonly queue?: string;
  readonly queueKey?: string;
  readonly queueCa?: string;
  readonly queueCert?: string;
  readonly queueCertKey?: string;
}

/** Add the options that lead to a queue. */
export function addQueueOptions(command: Command): Command {
  command.option(
    "--queue <url>",
    "queue on Redis or Valkey: redis://HOST, rediss://HOST for TLS, or redis+unix:///SOCKET (default: $VOLLEY_QUEUE)",
  );
  for (const option of queueAccessOptions()) command.addOption(option);
  return command;
}

/** Make the options for the access to a queue. */
export function queueAccessOptions(): readonly Option[] {
  return [
    new Option(
      "--queue-key <file>",
      "file of the key that controllers and workers share (default: $VOLLEY_QUEUE_KEY_FILE, ~/.config/volley/queue.key)",
    ),
    new Option("--queue-ca <file>", "certificate of the CA that has signed the queue server's, for TLS"),
    new Option("--queue-cert <file>", "this end's certificate, for a queue server that wants one"),
    new Option("--queue-cert-key <file>", "the key of that certificate"),
  ];
}

/** A queue that is open. The caller closes its connections. */
export interface OpenQueue {
  readonly connections: QueueConnections;
  readonly seal: Seal;
  /** The first seals, and each opens. */
  readonly keys: readonly QueueKey[];
}

/**
 * Connect to the queue of the flags, or to that of `$VOLLEY_QUEUE`, and read its key. Fails with `USAGE` where no queue is
 * named or there is no key, with `QUEUE_FAILED` when the server cannot be used, and with `CANCELLED`.
 */
export async function openQueue(flags: QueueFlags, signal: AbortSignal): Promise<OpenQueue> {
  const { queueKey, queueCa, queueCert, queueCertKey } = flags;
  const url = flags.queue ?? (process.env.VOLLEY_QUEUE || undefined);
  if (url === undefined)
    throw new VolleyError("USAGE", "which queue?", {
      hint: "name it with --queue redis://HOST, or in VOLLEY_QUEUE",
    });
  const [{ openQueueServer }, { readQueueKeys }, { createSeal }] = await Promise.all([
    import("../../queue/connect.ts"),
    import("../../queue/keys.ts"),
    import("../../queue/seal.ts"),
  ]);
  const keys = await readQueueKeys({ file: queueKey });
  const seal = createSeal(keys);
  const connections = await openQueueServer(
    {
      url,
      ...(queueCa === undefined ? {} : { ca: expandHome(queueCa) }),
      ...(queueCert === undefined ? {} : { cert: expandHome(queueCert) }),
      ...(queueCertKey === undefined ? {} : { key: expandHome(queueCertKey) }),
    },
    signal,
  );
  return { connections, seal, keys };
}
