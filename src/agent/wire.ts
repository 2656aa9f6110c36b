import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import {
  type Answer,
  type Command,
  encodeLine,
  type Job,
  MAX_LINE_BYTES,
  PROTOCOL_VERSION,
  type Question,
  type QuestionLine,
  questionKey,
  type WireEvent,
} from "../core/protocol.ts";
import { isRecord } from "../core/values/value.ts";
import { maskOfJob } from "../engine/results.ts";
import { readLines } from "../system/output.ts";
import { maskEvent } from "../vars/mask.ts";
import { decodeVars } from "../vars/whole-value.ts";
import { greeting, listenForControllers, MAX_COMMAND_LENGTH, shareLine } from "./attach.ts";
import type { RunStore } from "./journal.ts";
import type { StateStore } from "./state-store.ts";

/** The agent's end of the protocol. Up go events, questions and shared results; down come the Job and commands. */
export interface Wire {
  /** Tell an event: numbered, masked, and written to the journal. */
  emit(event: TargetEvent): void;
  /** Fails with `PROTOCOL_INVALID`, also after a minute in which nothing came: a profile may have read the job. */
  readJob(): Promise<Job>;
  /**
   * Write every event to the run's journal from here on, and let a controller that lost its connection come back. A run
   * that goes on first tells the events after the one with the number `after`.
   */
  keep(store: RunStore, options: KeepOptions): void;
  /** True when a controller is at the other end. */
  isHeard(): boolean;
  /** Wait at the barrier behind a play: true to go on, false when nobody is left to say so. */
  waitForOthers(play: number): Promise<boolean>;
  /**
   * Ask the controller; a controller that comes back is asked again. Returns the result that the task came to elsewhere,
   * null to do the task, undefined when nobody is left to answer.
   */
  ask(question: Question): Promise<Answer | null | undefined>;
  /** Give the controller a whole result, for the code of other hosts; no event and no journal holds the result. */
  share(task: number, whole: string): void;
  /** Wait until the controller has every shared result: true; false after 5 s. */
  taken(): Promise<boolean>;
  /** Resolve when everything has been sent. */
  flush(): Promise<void>;
  readonly cancel: AbortSignal;
  readonly kill: AbortSignal;
}

/** How a run is kept. */
interface KeepOptions {
  readonly bundle: string;
  readonly check: boolean;
  readonly state: StateStore;
  readonly after?: number | undefined;
}

/** How long a run waits between plays for a lost controller to come back. */
const ORPHAN_MS = 15 * 60_000;

/** The bytes that a slow controller may leave unread. Beyond, it is dropped, and finds the rest in the journal. */
const MAX_UNREAD_BYTES = 16 << 20;

/** Lines of one turn of the event loop go up together, but none waits longer than this: a pipe costs a system call each. */
const GATHER_MS = 15;

/** How long a run that has ended waits for its last lines to be read. */
const FLUSH_MS = 30_000;

/** How long a run that has ended waits for the controller to take shared results. */
const TAKE_MS = 5_000;

/** The sequence number of `hello`. */
const FIRST_SEQUENCE = 1;

/** How long the first byte of the job may take. */
const JOB_MS = 60_000;

/** Speak the protocol over a pair of streams. */
export function openWire(input: Readable, output: Writable, jobMs = JOB_MS): Wire {
  const cancel = new AbortController();
  const kill = new AbortController();
  const continued = new Set<number>();
  const waiting = new Map<number, (goOn: boolean) => void>();
  const answers = new Map<string, Answer | null>();
  const asking = new Map<string, Pending>();
  /** The lines of shared results that the controller has not taken, by task. */
  const shared = new Map<number, string>();
  let onTaken = (): void => {};
  let sequence = 0;
  /** Events from before there was a journal. */
  const unkept: string[] = [];
  let connected = true;
  let inputOpen = true;
  let control: ReturnType<typeof listenForControllers> | undefined;
  let store: RunStore | undefined;
  let state: StateStore | undefined;
  /** The Job whose secrets are masked in every event that follows it. */
  let maskedBy: Job | undefined;
  let orphaned: NodeJS.Timeout | undefined;
  let giveJob: ((line: string | null) => void) | undefined;
  // Bound here, because `write` of the process's own stream is replaced: output of roles must not mix with the protocol.
  const write = output.write.bind(output);

  // A controller that is gone does not end the run: it can ask later for what it missed.
  output.on("error", () => {
    connected = false;
  });
  let gathered = "";
  let gatheredAt = 0;
  const sendGathered = (): void => {
    if (gathered === "" || !connected) return;
    write(gathered);
    gathered = "";
    if (store === undefined || output.writableLength <= MAX_UNREAD_BYTES) return;
    connected = false;
    output.destroy();
  };
  const send = (line: string): void => {
    if (!connected) return;
    if (gathered === "") {
      gatheredAt = performance.now();
      setImmediate(sendGathered);
    }
    gathered += line;
    // Before there is a journal, the controller waits for each line.
    if (store === undefined || performance.now() - gatheredAt >= GATHER_MS) sendGathered();
  };
  const sendToAll = (line: string): void => {
    control?.send(line);
    send(line);
  };

  const endWaits = (): void => {
    for (const resume of waiting.values()) resume(false);
    for (const { answer } of asking.values()) answer(undefined);
  };
  const obey = (line: string): void => {
    const command = parseLine(line) as Command | undefined;
    switch (command?.type) {
      case "continue":
        continued.add(command.play);
        waiting.get(command.play)?.(true);
        return;
      case "answer": {
        const { type: _type, question, result, ...rest } = command;
        const answer = result === undefined ? null : { result, ...rest };
        answers.set(question, answer);
        asking.get(question)?.answer(answer);
        asking.delete(question);
        return;
      }
      case "taken":
        if (shared.delete(command.task)) state?.taken(command.task);
        onTaken();
        return;
      case "cancel":
        cancel.abort();
        endWaits();
        return;
      case "kill":
        cancel.abort();
        kill.abort();
        endWaits();
        return;
    }
  };
  /** Without a controller, waiting for one ends after a while. */
  const watchOrphan = (): void => {
    clearTimeout(orphaned);
    if (inputOpen || (control?.count() ?? 0) > 0) return;
    if (store === undefined) endWaits();
    else orphaned = setTimeout(endWaits, ORPHAN_MS);
  };
  /** Keep the process while it waits for the controller. At other times only its work keeps it: a role's code may wait for nothing. */
  const awaited = <T>(answer: Promise<T>): Promise<T> => {
    const timer = setInterval(() => {}, ORPHAN_MS);
    return answer.finally(() => clearInterval(timer));
  };
  (input as Partial<Socket>).unref?.();
  readLines(
    input,
    (line) => {
      if (giveJob === undefined) return obey(line);
      const give = giveJob;
      giveJob = undefined;
      give(line);
    },
    MAX_COMMAND_LENGTH,
  );
  const onEnd = (): void => {
    inputOpen = false;
    giveJob?.(null);
    watchOrphan();
  };
  input.once("end", onEnd);
  input.once("error", onEnd);
  return {
    cancel: cancel.signal,
    kill: kill.signal,
    emit: (event) => {
      const mask = maskedBy === undefined ? null : maskOfJob(maskedBy);
      const { type, ...rest } = mask === null ? event : maskEvent(mask, event);
      // `type` first: the controller knows the first line of the protocol by it.
      const sent = { type, seq: ++sequence, time: Date.now(), ...rest } as WireEvent;
      const line = boundedLine(sent);
      if (store === undefined) unkept.push(line);
      else store.append(line);
      if (type === "restart") store?.sync();
      sendToAll(line);
      if (type === "restart") sendGathered();
    },
    isHeard: () => inputOpen,
    keep: (opened, { bundle, check, state: kept, after = FIRST_SEQUENCE }) => {
      store = opened;
      state = kept;
      const lines = opened.lines();
      opened.open(bundle, check);
      const last = lines.at(-1)?.event.seq;
      if (last === undefined) for (const line of unkept) opened.append(line);
      else {
        sequence = last;
        for (const [task, whole] of kept.untaken()) shared.set(task, shareLine(task, whole));
        send(greeting(bundle, process.pid, after + 1));
        for (const line of shared.values()) send(line);
        for (const { event, line } of lines) if (event.seq > after) send(line);
      }
      control = listenForControllers(opened, bundle, {
        onLine: obey,
        onChange: watchOrphan,
        before: () => shared.values(),
        behind: () => [...asking.values()].map(({ line }) => line),
      });
    },
    readJob: async () => {
      const timer = setTimeout(() => giveJob?.(""), jobMs);
      input.once("data", () => clearTimeout(timer));
      const line = await awaited(
        new Promise<string | null>((resolve) => {
          giveJob = resolve;
        }),
      );
      clearTimeout(timer);
      if (line === null) throw new VolleyError("PROTOCOL_INVALID", "the controller sent no job");
      const job = parseLine(line) as Job | undefined;
      if (job?.protocol === undefined)
        throw new VolleyError(
          "PROTOCOL_INVALID",
          "the job did not arrive: does a profile read standard input?",
        );
      if (job.protocol !== PROTOCOL_VERSION) {
        throw new VolleyError(
          "PROTOCOL_INVALID",
          `the controller speaks protocol ${job.protocol}, this bundle ${PROTOCOL_VERSION}`,
        );
      }
      maskedBy = job;
      return decodeVars(job);
    },
    waitForOthers: (play) => {
      if (continued.has(play)) return Promise.resolve(true);
      if (cancel.signal.aborted) return Promise.resolve(false);
      const answer = new Promise<boolean>((resolve) => waiting.set(play, resolve));
      watchOrphan();
      return awaited(answer);
    },
    ask: (question) => {
      const key = questionKey(question);
      const line = encodeLine({ type: "question", question } satisfies QuestionLine);
      sendToAll(line);
      const known = answers.get(key);
      if (known !== undefined) return Promise.resolve(known);
      if (cancel.signal.aborted) return Promise.resolve(undefined);
      const answered = new Promise<Answer | null | undefined>((answer) => asking.set(key, { line, answer }));
      watchOrphan();
      return awaited(answered);
    },
    share: (task, whole) => {
      const line = shareLine(task, whole);
      shared.set(task, line);
      sendToAll(line);
    },
    taken: () =>
      new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          resolve(shared.size === 0);
        };
        const timer = setTimeout(settle, TAKE_MS);
        onTaken = () => {
          if (shared.size === 0) settle();
        };
        onTaken();
      }),
    flush: async () => {
      sendGathered();
      clearTimeout(orphaned);
      input.pause();
      store?.close();
      const sent = Promise.all([
        control?.close(),
        ...(connected ? [new Promise<void>((resolve) => write("", () => resolve()))] : []),
      ]);
      // A controller that does not read now finds the rest in the journal.
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        sent,
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, FLUSH_MS);
        }),
      ]);
      clearTimeout(timer);
    },
  };
}

/** A question without an answer. */
interface Pending {
  readonly line: string;
  answer(answer: Answer | null | undefined): void;
}

/** Parse the object on a line; undefined for a line without one. */
function parseLine(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The line of an event, without the details that would make it too long. */
function boundedLine(event: WireEvent): string {
  const line = encodeLine(event);
  // A code unit takes three bytes at most.
  if (line.length * 3 <= MAX_LINE_BYTES || Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  if (event.type !== "task:end")
    return encodeLine({
      type: "log",
      seq: event.seq,
      time: event.time,
      level: "warn",
      text: `an event of ${line.length} bytes was dropped`,
    });
  const { data: _data, diff: _diff, items: _items, ...result } = event.result;
  return encodeLine({ ...event, result });
}
