import { isVolleyError, messageOf, printable, VolleyError } from "../core/errors.ts";
import type { QueueAddress } from "./address.ts";

/** The oldest version of Redis with all commands that runs by a queue need (streams, XAUTOCLAIM, exclusive ranges). */
export const OLDEST_REDIS = "6.2.0";

/** Return the error `QUEUE_FAILED` of a queue. The message names the server. */
export function queueFailed(
  { shown }: Pick<QueueAddress, "shown">,
  reason: string,
  hint: string,
  cause?: unknown,
): VolleyError {
  return new VolleyError("QUEUE_FAILED", `the queue at ${shown} cannot be used: ${reason}`, { hint, cause });
}

/** Return a thrown value as `QUEUE_FAILED`, with advice: a refusal of the server, or a failed connection. */
export function explain(thrown: unknown, address: QueueAddress): VolleyError {
  if (isVolleyError(thrown)) return thrown;
  const text = messageOf(thrown);
  const [reason, hint] =
    refusal(text, address) ?? connectionFault(thrown as NodeJS.ErrnoException, address) ?? unknown(text);
  return queueFailed(address, reason, hint, thrown);
}

type Explained = readonly [reason: string, hint: string];

const USE_MASTER = "name the server that the replicas copy";

/** The answers of Redis that refuse a command, by their first word. */
function refusal(text: string, address: QueueAddress): Explained | undefined {
  const user = address.user ?? "default";
  switch (/^-?([A-Z]+)/.exec(text)?.[1]) {
    case "WRONGPASS":
      return [
        `it refuses the password of the user ${user}`,
        "check the URL's user, and the password in the URL or in VOLLEY_QUEUE_PASSWORD",
      ];
    case "NOAUTH":
      return ["it wants a password", "put the password into VOLLEY_QUEUE_PASSWORD"];
    case "NOPERM":
      return forbidden(text, address, user);
    case "READONLY":
      return ["it is a replica, which cannot be written to", USE_MASTER];
    case "MOVED":
    case "ASK":
    case "CROSSSLOT":
    case "CLUSTERDOWN":
      return inCluster;
    case "LOADING":
      return ["it is still loading its data", "try again once it is done"];
    case "MISCONF":
    case "NOREPLICAS":
      return ["it refuses writes", `it says: ${printable(text)}`];
    case "OOM":
      return ["its memory is full", "raise its maxmemory, or remove the keys of old runs"];
    case "DENIED":
      return [
        "it is in protected mode, and takes no connections from other machines",
        "give it a password or an ACL file, and bind it to an address of its own",
      ];
    case "ERR":
      if (/max number of clients/.test(text))
        return ["it has no place for another connection", "raise its maxclients, or run fewer workers"];
      // Redis 7.0 says the one, later versions and Valkey say the other.
      if (/executing the script can't (?:run|access)|^-?ERR ACL failure in script/.test(text))
        return forbidden(text, address, user);
      if (/DB index/.test(text))
        return [`it has no database ${address.db}`, "leave out the number after the host"];
      return undefined;
    default:
      return undefined;
  }
}

export const inCluster: Explained = [
  "it is in cluster mode",
  "use a server without cluster-enabled: a queue is on one server",
];

function forbidden(text: string, { prefix }: QueueAddress, user: string): Explained {
  if (/\bkeys?\b/.test(text) && !/'[^']+' command/.test(text))
    return [
      `its ACL forbids the user ${user} keys that begin with ${prefix}:`,
      "give the user the patterns of keys in docs/queue.md",
    ];
  const command = /'([^']+)' command/.exec(text)?.[1];
  return [
    command === undefined
      ? `its ACL forbids the user ${user} a command that a script calls`
      : `its ACL forbids the user ${user} the command ${printable(command).toUpperCase()}`,
    "give the user the commands in docs/queue.md",
  ];
}

/** Faults of the system, of names and of TLS, by their code. */
function connectionFault(
  { code = "", message }: NodeJS.ErrnoException,
  address: QueueAddress,
): Explained | undefined {
  switch (code) {
    case "ECONNREFUSED":
      return ["nothing listens there", "start Redis or Valkey there, or give the right host and port"];
    case "ENOTFOUND":
      return ["no host has that name", "check the name"];
    case "EAI_AGAIN":
      return ["its name could not be looked up", "check the name, and this machine's DNS"];
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return ["no way leads there", "check the network, firewalls, and the address"];
    case "ENOENT":
    case "ENOTSOCK":
      return ["there is no such socket", "check the path, and the server's setting unixsocket"];
    case "EACCES":
    case "EPERM":
      return ["this user may not connect to it", "check the server's setting unixsocketperm"];
    case "ECONNRESET":
    case "EPIPE":
      return ["it ends the connection at once", "see the server's log"];
    case "ERR_SSL_WRONG_VERSION_NUMBER":
      return speaksPlain;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return [
        "its certificate is of another name",
        `${printable(message)}: use a name that the certificate has`,
      ];
    case "CERT_HAS_EXPIRED":
      return ["its certificate has expired", "renew it"];
    default:
      if (
        /ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE|ALERT_BAD_CERTIFICATE|ALERT_UNKNOWN_CA/.test(code)
      )
        return [
          "it refuses this end's certificate, or wants one",
          "give a certificate that its CA has signed, and its key: --queue-cert FILE --queue-cert-key FILE",
        ];
      if (/CERT|SIGNATURE|^CRL_/.test(code))
        return [
          `its certificate cannot be verified (${printable(message)})`,
          "name the file of the CA that has signed it: --queue-ca FILE",
        ];
      return address.tls && /SSL|TLS|EPROTO/.test(code)
        ? [`TLS failed (${printable(message)})`, "check the server's settings of TLS"]
        : undefined;
  }
}

export const speaksPlain: Explained = ["it does not speak TLS", "write redis:// instead of rediss://"];
export const speaksTls: Explained = ["it speaks TLS alone", "write rediss:// instead of redis://"];

function unknown(text: string): Explained {
  return [printable(text), "see the server's log"];
}
