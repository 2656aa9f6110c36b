import * as fs from "node:fs";
import { dirname } from "node:path";
import type { ControllerEvent, ReceivedEvent } from "../../core/events.ts";
import type { Answer } from "../../core/protocol.ts";
import type { Result } from "../../core/result.ts";
import { makeDirectories } from "../../system/directories.ts";
import { parseJsonLines } from "../../system/output.ts";
import type { AskedEvent } from "../records/recall.ts";
import type { HostSession } from "../session/session.ts";

/** Has one host of a batch do each `runOnce` task, and tells the other hosts the result. */
export interface OnceRelay {
  /**
   * Begin a batch: these hosts go through the play with this index together. Returns the function that takes the end of
   * the play on a host.
   */
  batch(index: number, hosts: readonly HostSession[]): (host: HostSession) => void;
  /** Take an event of a host, masked and bounded. */
  take(event: ReceivedEvent | ControllerEvent): void;
  /** Look again at who does the tasks that hosts have asked about: some host waits elsewhere. */
  review(): void;
}

/** A host that has reached the task. */
interface Asker {
  readonly session: HostSession;
  /** The task's number on that host. */
  readonly task: number;
  result?: Result;
  /** True when the event holds only a part of the result. */
  partial?: boolean;
}

/** Options of the relay. */
interface OnceOptions {
  /** Events of an earlier controller of this run. */
  readonly earlier?: readonly AskedEvent[];
  /** Return the whole result of a host's task whose event holds only a part; undefined when it is not known. */
  wholeOf(host: string, task: number): string | undefined;
  /** Note that `to` gets a text of `from`; returns the secrets in the text, which are masked for `to` from now on. */
  share(text: string, from: string, to: string): readonly string[];
  /** Return whether a host waits at a later task, so that it will not come to the one that others ask about. */
  isElsewhere?(host: string): boolean;
}

/** A `runOnce` task of a batch. */
interface Question {
  readonly batch: Batch;
  readonly askers: Map<string, Asker>;
  /** The askers that wait for the answer. */
  readonly waiting: Set<Asker>;
  /** The host that was elected to do the task. */
  doer?: Asker;
}

interface Batch {
  readonly index: number;
  readonly hosts: ReadonlyMap<string, HostSession>;
  readonly questions: Map<string, Question>;
  /** The hosts that have ended the play. */
  readonly ended: Set<HostSession>;
}

type EventOf<Type extends (ReceivedEvent | ControllerEvent)["type"]> = Extract<
  ReceivedEvent | ControllerEvent,
  { type: Type }
>;

/**
 * Make the relay. The first host of a batch that is at work does the task; when that host ends before the task, the
 * next host does it. Once a host was elected, no other host is elected: the first may have done a part of the task.
 */
export function createOnceRelay({
  earlier = [],
  wholeOf,
  share,
  isElsewhere = () => false,
}: OnceOptions): OnceRelay {
  const batches = new Map<number, Batch[]>();
  /** Questions by host and the task's number on it. */
  const asked = new Map<string, Question>();

  const settle = (question: Question): void => {
    const { batch, askers, waiting } = question;
    if (question.doer === undefined) {
      const first = firstAtWork(batch);
      const asker = first === undefined ? undefined : askers.get(first.host);
      if (asker === undefined) return;
      question.doer = asker;
    }
    const { doer } = question;
    if (waiting.delete(doer)) {
      doer.session.tell({ type: "answer", question: String(doer.task) });
    }
    const result = doer.result ?? (batch.ended.has(doer.session) ? unfinished() : undefined);
    if (result === undefined) return;
    for (const asker of waiting) {
      const answer = answerFor(asker, doer, result);
      asker.session.tell({ type: "answer", question: String(asker.task), ...answer });
    }
    waiting.clear();
  };

  const firstAtWork = ({ index, hosts, ended }: Batch): HostSession | undefined => {
    for (const session of hosts.values())
      if (session.isAt(index) && !ended.has(session) && !isElsewhere(session.host)) return session;
    return undefined;
  };

  /** Make the answer for a host, without the parts that concern the doer alone. */
  const answerFor = ({ session: { host } }: Asker, doer: Asker, result: Result): Answer => {
    const from = doer.session.host;
    const { diff: _diff, ignored: _ignored, ...told } = result;
    if (doer.partial !== true) return { result: { ...told, from } };
    const { data: _data, items: _items, ...rest } = told;
    const whole = wholeOf(from, doer.task);
    if (whole === undefined) return { result: { ...rest, from }, partial: true };
    return { result: { ...rest, from }, whole, secrets: share(whole, from, host) };
  };

  const ask = (event: EventOf<"task:once">): Question | undefined => {
    const { host, index, task, role, name, nth } = event;
    const batch = batches.get(index)?.find(({ hosts }) => hosts.has(host));
    const session = batch?.hosts.get(host);
    if (batch === undefined || session === undefined) return undefined;
    const key = JSON.stringify([role, name, nth]);
    let question = batch.questions.get(key);
    if (question === undefined) {
      question = { batch, askers: new Map(), waiting: new Set() };
      batch.questions.set(key, question);
    }
    // A host whose process was started again asks again.
    const asker = question.askers.get(host) ?? { session, task };
    question.askers.set(host, asker);
    question.waiting.add(asker);
    asked.set(keyOf(host, task), question);
    return question;
  };

  const end = ({ host, task, result, partial = false }: EventOf<"task:end">): Question | undefined => {
    const question = asked.get(keyOf(host, task));
    const asker = question?.askers.get(host);
    // Only the elected host reports its own result.
    if (asker !== undefined && asker === question?.doer && result.from === undefined)
      Object.assign(asker, { result, partial });
    return question;
  };

  /**
   * The earlier controller told the host that began first to do the task; the other hosts begin after its end, with the
   * result.
   */
  const begin = ({ host, task }: EventOf<"task:start">): void => {
    const question = asked.get(keyOf(host, task));
    const asker = question?.askers.get(host);
    if (question !== undefined && asker !== undefined) question.doer ??= asker;
  };

  /** Take the events of the earlier controller, and answer hosts only after the last of them. */
  const recall = (batch: Batch): void => {
    for (const event of earlier) {
      if (!batch.hosts.has(event.host)) continue;
      if (event.type === "task:end") end(event);
      else if (event.type === "task:start") begin(event);
      else if (event.type === "task:once" && event.index === batch.index) ask(event);
    }
    for (const question of batch.questions.values()) settle(question);
  };

  return {
    batch: (index, hosts) => {
      const byName = new Map(hosts.map((session) => [session.host, session]));
      const batch: Batch = { index, hosts: byName, questions: new Map(), ended: new Set() };
      batches.set(index, [...(batches.get(index) ?? []), batch]);
      recall(batch);
      return (session) => {
        batch.ended.add(session);
        for (const question of batch.questions.values()) settle(question);
      };
    },
    review: () => {
      for (const batch of [...batches.values()].flat())
        for (const question of batch.questions.values()) if (question.doer === undefined) settle(question);
    },
    take: (event) => {
      const question =
        event.type === "task:once" ? ask(event) : event.type === "task:end" ? end(event) : undefined;
      if (question !== undefined) settle(question);
    },
  };
}

function keyOf(host: string, task: number): string {
  return `${task} ${host}`;
}

function unfinished(): Result {
  return {
    state: "failed",
    error: { code: "OTHERS_FAILED", message: "ended before this was done there" },
  };
}

/** Whole results of `runOnce` tasks, for the code of the other hosts. They are kept apart from the run's log. */
interface OnceResults {
  /** Keep a result; undefined when the host holds no more than the event tells. */
  keep(host: string, task: number, whole: string | undefined): void;
  of(host: string, task: number): string | undefined;
  /** Remove the results: the run has ended. */
  remove(): void;
}

/** Open the results of a run; without a file, in memory only. */
export function openOnceResults(file: string | undefined): OnceResults {
  const results = new Map<string, string>();
  if (file !== undefined && fs.existsSync(file)) {
    for (const kept of parseJsonLines(fs.readFileSync(file, "utf8"))) {
      // The disk may have kept other bytes than were written.
      if (!Array.isArray(kept)) continue;
      const [host, task, whole] = kept as [string, number, string];
      results.set(keyOf(host, task), whole);
    }
  }
  return {
    keep: (host, task, whole) => {
      if (whole === undefined) return;
      results.set(keyOf(host, task), whole);
      if (file === undefined) return;
      try {
        makeDirectories(dirname(file), 0o700);
        // Begin a new line: a controller that was killed as it wrote may have left one without an end.
        fs.appendFileSync(file, `\n${JSON.stringify([host, task, whole])}\n`, { mode: 0o600 });
      } catch {
        // The disk is full or the home read-only; only another controller would need the file.
      }
    },
    of: (host, task) => results.get(keyOf(host, task)),
    remove: () => {
      try {
        if (file !== undefined) fs.rmSync(file, { force: true });
      } catch {
        // The home is read-only, or below a file: there is no log either.
      }
    },
  };
}
