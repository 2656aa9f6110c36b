import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import { isRecord } from "../core/json.ts";
import {
  type Answer,
  type Command,
  encodeLine,
  type Job,
  MAX_LINE_BYTES,
  MAX_RESULT_BYTES,
  PROTOCOL_VERSION,
  type WireEvent,
} from "../core/protocol.ts";
import { maskOfJob } from "../engine/results.ts";
import { readLines } from "../system/lines.ts";
import { maskEvent } from "../vars/mask.ts";
import { greeting, listenForControllers, MAX_COMMAND_LENGTH } from "./attach.ts";
import type { RunStore } from "./journal.ts";
import { tellable } from "./state-store.ts";
import { decodeVars } from "./whole-value.ts";

/** The target's end of the protocol: events out, the Job and then commands in. */
export interface Wire {
  emit(event: TargetEvent): void;
  readJob(): Promise<Job>;
  /**
   * From here on every event goes to the run's journal too, and a controller that lost its connection can come back.
   * Where there is a journal already, the controller is first told what comes after the event with this number.
   */
  keep(store: RunStore, kind: { readonly bundle: string; readonly check: boolean }, after?: number): void;
  /** Whether there is a controller at the other end. */
  isHeard(): boolean;
  /** True when told to go on after this play; false when nobody is left to say so. */
  waitForOthers(play: number): Promise<boolean>;
  /** The answer to what an event asked: what it came to elsewhere, null to do it; undefined when nobody is left to say. */
  ask(question: string): Promise<Answer | null | undefined>;
  /** Resolves once the controller has taken in each `task:result`: true; false when it does not, for a while. */
  taken(): Promise<boolean>;
  /** Resolves once everything emitted has left. */
  flush(): Promise<void>;
  readonly stop: AbortSignal;
  readonly kill: AbortSignal;
}

/** How long a run waits between plays for a controller that has gone away to come back. */
const ORPHAN_MS = 15 * 60_000;

/** What a controller that does not read may leave unread, in bytes: it is dropped, and finds the rest in the journal. */
const MAX_UNREAD_BYTES = 16 << 20;

/** How long a run that has ended waits for its last words to be read. */
const FLUSH_MS = 30_000;

/** How long a run that has ended waits for the controller to say that it has taken in what code is told of. */
const TAKE_MS = 5_000;

/** The `hello` has it. */
const FIRST_SEQUENCE = 1;

/** Speaks the protocol over a pair of streams. */
export function openWire(input: Readable, output: Writable): Wire {
  const stop = new AbortController();
  const kill = new AbortController();
  const continued = new Set<number>();
  const waiting = new Map<number, (goOn: boolean) => void>();
  const answers = new Map<string, Answer | null>();
  const asking = new Map<string, (answer: Answer | null | undefined) => void>();
  /** Tasks with a `task:result` that the controller has not taken in. */
  const untaken = new Set<number>();
  let onTaken = (): void => {};
  let sequence = 0;
  /** What was said before there was a journal to put it into. */
  const unkept: string[] = [];
  let connected = true;
  let inputOpen = true;
  let control: ReturnType<typeof listenForControllers> | undefined;
  let store: RunStore | undefined;
  /** Everything that is told from the Job on goes through it, be it sent or kept. */
  let maskedBy: Job | undefined;
  let orphaned: NodeJS.Timeout | undefined;
  let giveJob: ((line: string | null) => void) | undefined;
  // What else writes to the stream is kept off it from here on.
  const write = output.write.bind(output);

  // A controller that has gone away does not end the run: what it misses it can ask for later.
  output.on("error", () => {
    connected = false;
  });
  const send = (line: string): void => {
    if (!connected) return;
    write(line);
    if (store === undefined || output.writableLength <= MAX_UNREAD_BYTES) return;
    connected = false;
    output.destroy();
  };

  const endWaits = (): void => {
    for (const resume of waiting.values()) resume(false);
    for (const resume of asking.values()) resume(undefined);
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
        asking.get(question)?.(answer);
        return;
      }
      case "taken":
        untaken.delete(command.task);
        onTaken();
        return;
      case "cancel":
        stop.abort();
        endWaits();
        return;
      case "kill":
        stop.abort();
        kill.abort();
        endWaits();
        return;
    }
  };
  /** Without anybody to say `continue`, what waits for it waits only so long. */
  const watchOrphan = (): void => {
    clearTimeout(orphaned);
    if (inputOpen || (control?.count() ?? 0) > 0) return;
    if (store === undefined) endWaits();
    else orphaned = setTimeout(endWaits, ORPHAN_MS);
  };
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
    stop: stop.signal,
    kill: kill.signal,
    emit: (event) => {
      const mask = maskedBy === undefined || event.type === "task:result" ? null : maskOfJob(maskedBy);
      const { type, ...rest } = mask === null ? event : maskEvent(mask, event);
      // `type` first: the controller knows the first line of the protocol by it.
      const sent = { type, seq: ++sequence, time: Date.now(), ...rest } as WireEvent;
      const line = boundedLine(sent);
      // What code is told of lies elsewhere, whole.
      const kept = sent.type === "task:result" ? encodeLine({ ...sent, whole: undefined }) : line;
      if (sent.type === "task:result") untaken.add(sent.task);
      if (store === undefined) unkept.push(kept);
      else store.append(kept);
      if (type === "restart") store?.sync();
      control?.send(line);
      send(line);
    },
    isHeard: () => inputOpen,
    keep: (opened, { bundle, check }, after = FIRST_SEQUENCE) => {
      store = opened;
      const kept = opened.lines();
      opened.open(bundle, check);
      const last = kept.at(-1)?.event.seq;
      if (last === undefined) for (const line of unkept) opened.append(line);
      else {
        sequence = last;
        send(greeting(bundle, process.pid, after + 1));
        for (const { event, line } of tellable(opened.directory, kept)) if (event.seq > after) send(line);
      }
      control = listenForControllers(opened, bundle, { onLine: obey, onChange: watchOrphan });
    },
    readJob: async () => {
      const line = await new Promise<string | null>((resolve) => {
        giveJob = resolve;
      });
      if (line === null) throw new VolleyError("PROTOCOL_INVALID", "the controller sent no job");
      const job = parseLine(line) as Job | undefined;
      if (job === undefined) {
        throw new VolleyError("PROTOCOL_INVALID", "what the controller sent is no job");
      }
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
      if (stop.signal.aborted) return Promise.resolve(false);
      const answer = new Promise<boolean>((resolve) => waiting.set(play, resolve));
      watchOrphan();
      return answer;
    },
    ask: (question) => {
      const known = answers.get(question);
      if (known !== undefined) return Promise.resolve(known);
      if (stop.signal.aborted) return Promise.resolve(undefined);
      const answer = new Promise<Answer | null | undefined>((resolve) => asking.set(question, resolve));
      watchOrphan();
      return answer;
    },
    taken: () =>
      new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          resolve(untaken.size === 0);
        };
        const timer = setTimeout(end, TAKE_MS);
        onTaken = () => {
          if (untaken.size === 0) end();
        };
        onTaken();
      }),
    flush: async () => {
      clearTimeout(orphaned);
      input.destroy();
      store?.close();
      const sent = Promise.all([
        control?.close(),
        ...(connected ? [new Promise<void>((resolve) => write("", () => resolve()))] : []),
      ]);
      // Who does not read now finds it in the journal.
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

/** The object on a line; undefined when there is none. */
function parseLine(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function boundedLine(event: WireEvent): string {
  const line = encodeLine(event);
  // A code unit takes three bytes at most.
  if (line.length * 3 <= MAX_LINE_BYTES || Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  if (event.type === "task:result")
    return Buffer.byteLength(line) <= MAX_RESULT_BYTES ? line : encodeLine({ ...event, whole: undefined });
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
