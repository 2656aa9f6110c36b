import { setImmediate } from "node:timers/promises";
import type { ControllerEvent, Event, ReceivedEvent } from "../../core/events.ts";
import { type EarlierPart, foldPart, NOTHING_EARLIER } from "../session/told.ts";

/** An event about a task that a host asks the controller about. */
export type AskedEvent = Extract<
  ReceivedEvent | ControllerEvent,
  { readonly type: "task:once" | "task:delegate" | "task:start" | "task:end" }
>;

/** The part of a run that an earlier controller did, as its events tell it. */
export class EarlierRun {
  readonly parts = new Map<string, EarlierPart>();
  /** The events about tasks that hosts have asked about, in their order. */
  readonly asked: AskedEvent[] = [];
  readonly #questions = new Set<string>();

  add(event: Event): void {
    if ("host" in event)
      this.parts.set(event.host, foldPart(this.parts.get(event.host) ?? NOTHING_EARLIER, event));
    if (isAbout(this.#questions, event)) this.asked.push(event);
  }
}

/** Events that are read at a time. */
const AT_A_TIME = 1_000;

/** Read the events of an earlier controller once, and pass them on: some at a time, so that iterators of the run keep pace. */
export async function recall(events: Iterable<Event>, take: (event: Event) => void): Promise<EarlierRun> {
  const earlier = new EarlierRun();
  let count = 0;
  for (const event of events) {
    take(event);
    earlier.add(event);
    if (++count % AT_A_TIME === 0) await setImmediate();
  }
  return earlier;
}

function isAbout(questions: Set<string>, event: Event): event is Event & AskedEvent {
  switch (event.type) {
    case "task:once":
    case "task:delegate":
      questions.add(`${event.task} ${event.host}`);
      return true;
    case "task:start":
    case "task:end":
      return questions.has(`${event.task} ${event.host}`);
    default:
      return false;
  }
}
