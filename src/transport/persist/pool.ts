import { createHmac, randomBytes } from "node:crypto";
import { isVolleyError } from "../../core/errors.ts";
import type { Channels } from "../channels.ts";
import { connectCancelled } from "../connect-errors.ts";
import { KeyRing } from "../ssh/keys.ts";
import { openKnownHosts } from "../ssh/known-hosts.ts";
import { createSshTransport, type SshTransport } from "../ssh/ssh-transport.ts";
import type { Connection, Endpoint, RemoteProcess } from "../transport.ts";
import { type Ahead, createAhead, type SessionRequest, startOn } from "./ahead.ts";
import type { KeptConnection, LoanRequest } from "./protocol.ts";

/** Connections at a time; the one that was idle longest makes room. */
const MAX_CONNECTIONS = 512;
/** A host that does not answer for so long is connected to anew. */
const PROOF_MS = 5_000;
/** An answer of a host's counts for so long. */
const PROOF_KEPT_MS = 2_000;
/** More idle connections than this are not asked before a client says which it wants. */
const MAX_WARMED = 16;
/** Time for a client's commands to end by themselves once their input has ended. */
const ENDING_MS = 2_000;
/** The longest pause between two looks at the time: a machine that sleeps stops timers, and clocks are set. */
const LOOK_MS = 5_000;

/** A connection in the hands of one client. */
export interface Loan {
  readonly channels: Channels;
  readonly timings: Connection["timings"];
  /** Start a command or the SFTP server; the command may have been started already. */
  start(open: SessionRequest): Promise<RemoteProcess>;
  /** Count a process that was started over it, to know when all have ended. */
  watch(process: { end(): void; readonly ended: Promise<unknown> }): void;
  /** Give the connection back. Commands that go on without their input are cut off by closing the connection. */
  release(): void;
  isReleased(): boolean;
}

/** The connections of the background process. */
export interface KeptPool {
  /** Lend an idle connection of the same settings, or connect. Fails as `Transport.connect` does. */
  loan(request: LoanRequest, signal: AbortSignal, words?: string): Promise<Loan>;
  /** Connect for a later command, unless a connection of the same settings is there. A failure is nobody's. */
  keep(request: LoanRequest): Promise<void>;
  list(): readonly KeptConnection[];
  /** Close the connections of these hosts, else all, those in use too. Returns the hosts. */
  stop(hosts?: readonly string[]): readonly string[];
  /** Keep nothing from now on: connections that are in use are closed after it, and all others at once. */
  retire(): void;
  isEmpty(): boolean;
  /**
   * Ask the hosts whether they are still there: a client has come, and will ask for some of their connections. Start what
   * the same words asked for before. Call what is returned when the client has gone.
   */
  warm(words?: string): () => void;
}

interface Kept extends Pick<Endpoint, "host" | "address" | "port" | "user"> {
  readonly key: string;
  readonly channels: Channels;
  readonly ahead: Ahead;
  readonly origin: Origin;
  persistMs: number;
  processes: number;
  /** The time of the last use by two clocks; undefined while in use. */
  idle: Moment | undefined;
  /** Set while an answer of the host's counts as new. */
  proof: Promise<boolean> | undefined;
}

/** Logs in for one client's process, whose connections share those to jump hosts. */
interface Origin {
  readonly transport: SshTransport;
  readonly keys: KeyRing;
  readonly passphrases: Map<string, string>;
  /** Requests that may still log in. */
  requests: number;
  connections: number;
}

/** A time by the clock that nobody sets, and by the one that goes on while the machine sleeps. */
interface Moment {
  readonly steadyMs: number;
  readonly wallMs: number;
}

const now = (): Moment => ({ steadyMs: performance.now(), wallMs: Date.now() });

/** Return the milliseconds since a moment: the more of what the two clocks say. */
function since(moment: Moment): number {
  const { steadyMs, wallMs } = now();
  return Math.max(steadyMs - moment.steadyMs, wallMs - moment.wallMs);
}

/** Make a {@link KeptPool}. `onEmpty` is called when the last connection is gone, and no request waits. */
export function createKeptPool(onEmpty: () => void): KeptPool {
  const all = new Set<Kept>();
  const origins = new Map<string, Origin>();
  /** The number of clients' sockets, by the words of their command lines. */
  const clients = new Map<string, number>();
  const secret = randomBytes(32);
  let connecting = 0;
  let isRetired = false;
  let timer: NodeJS.Timeout | undefined;

  const isEmpty = (): boolean => all.size === 0 && connecting === 0;
  const keyOf = (endpoint: Endpoint): string =>
    createHmac("sha256", secret).update(JSON.stringify(endpoint)).digest("hex");
  const tellIfEmpty = (): void => {
    if (isEmpty()) onEmpty();
  };
  const drop = (kept: Kept): void => {
    if (!all.delete(kept)) return;
    kept.origin.connections--;
    kept.channels.close();
    closeUnused(origins);
    tellIfEmpty();
  };
  const expire = (): void => {
    clearTimeout(timer);
    let nextMs = LOOK_MS;
    for (const kept of all) {
      if (kept.idle === undefined) continue;
      const leftMs = kept.persistMs - since(kept.idle);
      if (leftMs <= 0) drop(kept);
      else nextMs = Math.min(nextMs, leftMs);
    }
    if (all.size > 0) timer = setTimeout(expire, nextMs);
  };
  const add = (kept: Kept): void => {
    all.add(kept);
    kept.origin.connections++;
    void kept.channels.closed.then(() => drop(kept));
    while (all.size > MAX_CONNECTIONS) {
      const [oldest] = [...all].filter(isIdle).sort((one, other) => since(other.idle) - since(one.idle));
      if (oldest === undefined) break;
      drop(oldest);
    }
    expire();
  };
  /** Take the idle connection that was used last, if the host answers on it. */
  const takeIdle = async (key: string, persistMs: number): Promise<Kept | undefined> => {
    expire();
    for (;;) {
      const [kept] = [...all]
        .filter((each) => each.key === key)
        .filter(isIdle)
        .sort((one, other) => since(one.idle) - since(other.idle));
      if (kept === undefined) return undefined;
      (kept as Kept).idle = undefined;
      if (await prove(kept)) {
        (kept as Kept).proof = undefined;
        (kept as Kept).persistMs = persistMs;
        return kept;
      }
      drop(kept);
    }
  };
  const connect = async (request: LoanRequest, key: string, signal: AbortSignal): Promise<Opened> => {
    const { endpoint, persistMs, client } = request;
    const origin = origins.get(client) ?? createOrigin(request);
    origins.set(client, origin);
    origin.requests++;
    keepAlive(endpoint);
    for (const [file, passphrase] of Object.entries(request.passphrases))
      origin.passphrases.set(file, passphrase);
    try {
      const { channels, timings } = await origin.transport.open(endpoint, signal);
      const { host, address, port, user } = endpoint;
      const kept = {
        key,
        channels,
        ahead: createAhead(channels),
        origin,
        persistMs,
        processes: 0,
        idle: undefined,
        proof: undefined,
        host,
        address,
        port,
        user,
      };
      add(kept);
      return { kept, timings };
    } finally {
      origin.requests--;
      forgetPasswords(endpoint);
      if (origin.requests === 0) origin.keys.forget();
      closeUnused(origins);
    }
  };
  const lend = ({ kept, timings }: Opened, words: string | undefined): Loan => {
    const running = new Set<Parameters<Loan["watch"]>[0]>();
    let isReleased = false;
    return {
      channels: kept.channels,
      timings,
      start: (open) => startOn(kept, open, words),
      watch: (process) => {
        running.add(process);
        kept.processes++;
        if (isReleased) process.end();
        void process.ended.then(() => {
          running.delete(process);
          kept.processes--;
        });
      },
      isReleased: () => isReleased,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        for (const process of running) process.end();
        void allEnded([...running]).then((hasEnded) => {
          if (!hasEnded || isRetired) return drop(kept);
          kept.idle = now();
          kept.ahead.prepare();
          expire();
        });
      },
    };
  };
  return {
    loan: async (request, signal, words) => {
      const { endpoint, persistMs } = request;
      const key = keyOf(endpoint);
      const startedAt = performance.now();
      connecting++;
      try {
        const kept = await takeIdle(key, persistMs);
        const opened: Opened =
          kept === undefined
            ? await connect(request, key, signal)
            : { kept, timings: { connectMs: performance.now() - startedAt, authenticateMs: 0 } };
        const loan = lend(opened, words);
        if (!signal.aborted) return loan;
        loan.release();
        throw connectCancelled(endpoint);
      } finally {
        connecting--;
        tellIfEmpty();
      }
    },
    keep: async (request) => {
      const key = keyOf(request.endpoint);
      if ([...all].some((kept) => kept.key === key)) return;
      connecting++;
      try {
        const { kept } = await connect(request, key, new AbortController().signal);
        kept.idle = now();
        expire();
      } catch {
        // The next command's own login tells what is wrong.
      } finally {
        connecting--;
        tellIfEmpty();
      }
    },
    list: () =>
      [...all].map(({ host, user, address, port, idle, persistMs, processes }) => ({
        ...{ host, user, address, port, channels: processes },
        ...(idle === undefined ? {} : timesOf(Math.round(since(idle)), persistMs)),
      })),
    stop: (hosts) => {
      const stopped = [...all].filter(({ host }) => hosts?.includes(host) ?? true);
      for (const kept of stopped) drop(kept);
      return stopped.map(({ host }) => host);
    },
    retire: () => {
      isRetired = true;
      for (const kept of [...all].filter(isIdle)) drop(kept);
    },
    isEmpty,
    warm: (words) => {
      const idle = [...all].filter(isIdle);
      if (idle.length <= MAX_WARMED)
        for (const kept of idle) {
          if (words !== undefined) kept.ahead.start(words);
          void prove(kept).then((isThere) => isThere || drop(kept));
        }
      if (words === undefined) return () => {};
      clients.set(words, (clients.get(words) ?? 0) + 1);
      return () => {
        const left = clients.get(words)! - 1;
        if (left > 0) return void clients.set(words, left);
        clients.delete(words);
        for (const { ahead } of all) void ahead.end(words);
      };
    },
  };
}

interface Opened {
  readonly kept: Kept;
  readonly timings: Connection["timings"];
}

/** Have the host open a session for the next command, which shows that it is there. */
function prove(kept: Kept): Promise<boolean> {
  if (kept.proof !== undefined) return kept.proof;
  const proof = answers(kept);
  kept.proof = proof;
  void proof.then(() => {
    const forget = (): void => {
      if (kept.proof === proof) kept.proof = undefined;
    };
    setTimeout(forget, PROOF_KEPT_MS).unref();
  });
  return proof;
}

function isIdle(kept: Kept): kept is Kept & { idle: Moment } {
  return kept.idle !== undefined;
}

function createOrigin({ interactive, connectRetries }: LoanRequest): Origin {
  // The client has asked for the passphrases already.
  const passphrases = new Map<string, string>();
  const keys = new KeyRing(async (_prompt, file) => passphrases.get(file ?? "") ?? null, passphrases);
  const transport = createSshTransport({
    keys,
    knownHostsOf: ({ knownHostsFiles, newKeysFile }) => openKnownHosts(knownHostsFiles, newKeysFile ?? null),
    interactive,
    connectRetries,
  });
  return { transport, keys, passphrases, requests: 0, connections: 0 };
}

/** Close the connections to jump hosts over which nothing goes any more. */
function closeUnused(origins: Map<string, Origin>): void {
  for (const [client, origin] of origins) {
    if (origin.requests > 0 || origin.connections > 0) continue;
    origin.transport.close();
    origins.delete(client);
  }
}

const KEEPALIVE_MS = 10_000;

/** Have the host's silence be noticed where the settings ask for no keepalive messages. */
function keepAlive({ ssh }: Endpoint): void {
  if (ssh?.keepAliveMs === 0) Object.assign(ssh, { keepAliveMs: KEEPALIVE_MS });
}

/** Remove the passwords from an endpoint that came over a socket: ssh2 holds on to it as long as the connection lasts. */
function forgetPasswords({ ssh }: Endpoint): void {
  if (ssh === undefined) return;
  Object.assign(ssh, { password: undefined });
  for (const hop of ssh.jumps) forgetPasswords(hop);
}

async function answers({ channels: { openAhead }, ahead }: Kept): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PROOF_MS);
  });
  try {
    return await Promise.race([openAhead!().then(() => true), late]);
  } catch (thrown) {
    // The host answers where it grants no session beside the one of a command that was started ahead.
    return ahead.hasSession() && isVolleyError(thrown) && thrown.code === "SESSION_REFUSED";
  } finally {
    clearTimeout(timer);
  }
}

async function allEnded(running: readonly { readonly ended: Promise<unknown> }[]): Promise<boolean> {
  if (running.length === 0) return true;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ENDING_MS);
  });
  try {
    return await Promise.race([Promise.all(running.map(({ ended }) => ended)).then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Return the whole milliseconds that `volley persist list` tells of a connection without a client. */
function timesOf(idleMs: number, persistMs: number): Pick<KeptConnection, "idleMs" | "leftMs"> {
  return { idleMs, leftMs: Math.max(0, persistMs - idleMs) };
}
