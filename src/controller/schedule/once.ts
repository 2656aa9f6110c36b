import * as fs from "node:fs";
import { dirname } from "node:path";
import type { ControllerEvent, ReceivedEvent } from "../../core/events.ts";
import type { Answer } from "../../core/protocol.ts";
import type { Result } from "../../core/result.ts";
import type { HostSession } from "../session/session.ts";

/** Sees to it that what is to be done once in a batch is done by one of its hosts, and tells the others what it came to. */
export interface OnceRelay {
  /** These hosts, in this order, go through the play with this index together. */
  batch(index: number, hosts: readonly HostSession[]): void;
  /** Takes in what happened, as it is told: masked and bounded. */
  take(event: ReceivedEvent | ControllerEvent): void;
}

/** A host that has come to the task. */
interface Asker {
  readonly session: HostSession;
  /** The task's number there. */
  readonly task: number;
  result?: Result;
  /** Whether that is not all of it. */
  partial?: boolean;
  answered: boolean;
}

/** What the relay works with. */
interface OnceOptions {
  /** What a controller before this one was told. */
  readonly earlier?: readonly (ReceivedEvent | ControllerEvent)[];
  /** The whole result of a host's task, where its events do not tell it; undefined where it is not known. */
  wholeOf(host: string, task: number): string | undefined;
  /** The secrets of a host that are in a text, which `to` is to be told: it masks them from here on. */
  share(text: string, from: string, to: string): readonly string[];
}

/** One task of one batch. */
interface Question {
  readonly batch: Batch;
  readonly askers: Map<string, Asker>;
  /** The host that does it, once it has been told to. */
  doer?: Asker;
}

interface Batch {
  readonly index: number;
  readonly hosts: readonly HostSession[];
  readonly questions: Map<string, Question>;
  /** Those that have ended the play. */
  readonly ended: Set<HostSession>;
}

type EventOf<Type extends ReceivedEvent["type"]> = Extract<ReceivedEvent, { type: Type }>;

/**
 * Makes the relay. The first host of a batch that is at work does the task; when it ends before it comes to it, the
 * next one does. What a host was told to do is given to no other: it may have been done in part.
 */
export function createOnceRelay({ earlier = [], wholeOf, share }: OnceOptions): OnceRelay {
  const batches = new Map<number, Batch[]>();
  /** Questions by host and the task's number there. */
  const asked = new Map<string, Question>();

  const settle = (question: Question): void => {
    const { batch, askers } = question;
    if (question.doer === undefined) {
      const first = batch.hosts.find((host) => host.isAt(batch.index) && !batch.ended.has(host));
      const asker = first === undefined ? undefined : askers.get(first.host);
      if (asker === undefined) return;
      question.doer = asker;
    }
    const { doer } = question;
    if (!doer.answered) {
      doer.answered = true;
      doer.session.tell({ type: "answer", question: String(doer.task) });
    }
    const result = doer.result ?? (batch.ended.has(doer.session) ? unfinished() : undefined);
    if (result === undefined) return;
    for (const asker of askers.values()) {
      if (asker.answered) continue;
      asker.answered = true;
      const answer = answerFor(asker, doer, result);
      asker.session.tell({ type: "answer", question: String(asker.task), ...answer });
    }
  };

  /** What a host is told without what only the one it comes from has use for. */
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
    const batch = batches.get(index)?.find(({ hosts }) => hosts.some((session) => session.host === host));
    const session = batch?.hosts.find((each) => each.host === host);
    if (batch === undefined || session === undefined) return undefined;
    const key = JSON.stringify([role, name, nth]);
    let question = batch.questions.get(key);
    if (question === undefined) {
      question = { batch, askers: new Map() };
      batch.questions.set(key, question);
    }
    const known = question.askers.get(host);
    if (known === undefined) question.askers.set(host, { session, task, answered: false });
    // Its process has been started again.
    else known.answered = false;
    asked.set(keyOf(host, task), question);
    return question;
  };

  const end = ({ host, task, result, partial = false }: EventOf<"task:end">): Question | undefined => {
    const question = asked.get(keyOf(host, task));
    const asker = question?.askers.get(host);
    // Whoever was not told to do it has no say in what came of it.
    if (asker !== undefined && asker === question?.doer && result.from === undefined)
      Object.assign(asker, { result, partial });
    return question;
  };

  /** Whoever began first was told to, by the controller before: the others begin with what they are told, after its end. */
  const begin = ({ host, task }: EventOf<"task:start">): void => {
    const question = asked.get(keyOf(host, task));
    const asker = question?.askers.get(host);
    if (question !== undefined && asker !== undefined) question.doer ??= asker;
  };

  /** Takes in what the controller before was told; nobody is answered before all of it is known. */
  const recall = (batch: Batch): void => {
    const names = new Set(batch.hosts.map(({ host }) => host));
    for (const event of earlier) {
      if (!("host" in event) || !names.has(event.host)) continue;
      if (event.type === "task:once" && event.index === batch.index) ask(event);
      else if (event.type === "task:start") begin(event);
      else if (event.type === "task:end") end(event);
    }
    for (const question of batch.questions.values()) settle(question);
  };

  return {
    batch: (index, hosts) => {
      const batch: Batch = { index, hosts, questions: new Map(), ended: new Set() };
      batches.set(index, [...(batches.get(index) ?? []), batch]);
      recall(batch);
      for (const session of hosts) {
        void session.playEnd(index).then(() => {
          batch.ended.add(session);
          for (const question of batch.questions.values()) settle(question);
        });
      }
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

/** Whole results of tasks that one host of a batch does, for the code of the others: apart from the run's log. */
interface OnceResults {
  /** Takes one in; undefined: the host has no more of it. */
  keep(host: string, task: number, whole: string | undefined): void;
  of(host: string, task: number): string | undefined;
  /** Removes them: the run has ended. */
  remove(): void;
}

/** Opens the results of a run; without a file they are held in memory only. */
export function openOnceResults(file: string | undefined): OnceResults {
  const results = new Map<string, string>();
  const keyOf = (host: string, task: number): string => `${task} ${host}`;
  if (file !== undefined && fs.existsSync(file)) {
    for (const line of fs.readFileSync(file, "utf8").split("\n")) {
      try {
        const [host, task, whole] = JSON.parse(line) as [string, number, string];
        results.set(keyOf(host, task), whole);
      } catch {
        // An empty line, or one that was cut off.
      }
    }
  }
  return {
    keep: (host, task, whole) => {
      if (whole === undefined) return;
      results.set(keyOf(host, task), whole);
      if (file === undefined) return;
      try {
        fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        // A controller that was killed as it wrote has left a line without an end.
        fs.appendFileSync(file, `\n${JSON.stringify([host, task, whole])}\n`, { mode: 0o600 });
      } catch {
        // A full disk, or a home that may not be written to: only another controller would need it.
      }
    },
    of: (host, task) => results.get(keyOf(host, task)),
    remove: () => {
      if (file !== undefined) fs.rmSync(file, { force: true });
    },
  };
}
