import type { ControllerEvent } from "../../core/events.ts";
import { foldHostNames } from "../summary/host-sets.ts";
import { safeLine } from "./sanitize.ts";

type EventOf<Type extends ControllerEvent["type"]> = Extract<ControllerEvent, { type: Type }>;

/** `Deploy, batch 2 of 3: web[02-06]`, with the seed of a shuffled play. */
export function batchText({ play, batch, batches, hosts, seed }: EventOf<"play:batch">): string {
  const title = batches === 1 ? safeLine(play) : `${safeLine(play)}, batch ${batch} of ${batches}`;
  // Of a shuffled play the order is what is of interest.
  const names = seed === undefined ? foldHostNames(hosts.map(safeLine)) : hosts.map(safeLine).join(" ");
  return `${title}: ${names}${seed === undefined ? "" : ` (shuffled, seed ${safeLine(seed)})`}`;
}

/** Why the run ends early. */
export function stopText({ reason }: EventOf<"play:stop">): string {
  return `The run ends early: ${reason.message}`;
}
