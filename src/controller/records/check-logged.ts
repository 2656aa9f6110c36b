import type { ControllerEvent, Event } from "../../core/events.ts";
import { TALLY_KEYS } from "../../core/result.ts";
import { isRecord } from "../../core/values/value.ts";
import { checkEvent, isAskedTask, isDelegatedTask } from "../session/check-event.ts";

type Fields = Readonly<Record<string, unknown>>;

const OUTCOMES = ["ok", "failed", "unreachable", "lost", "cancelled"];

const isText = (value: unknown): boolean => typeof value === "string";
const isNumber = (value: unknown): boolean => Number.isFinite(value);
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isTally = (value: unknown): boolean =>
  isRecord(value) && TALLY_KEYS.every((key) => isNumber(value[key] ?? (key === "rescued" ? 0 : undefined)));
const isError = (value: unknown): boolean => isRecord(value) && isText(value.code) && isText(value.message);
const isPhases = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isNumber);

/** Return whether a value is the outcome of a host's part, as in `host:end` and the Summary. */
function isHostEnd(value: unknown): boolean {
  return (
    isRecord(value) &&
    isText(value.host) &&
    OUTCOMES.includes(value.outcome as string) &&
    isTally(value.tally) &&
    isNumber(value.elapsedMs) &&
    isPhases(value.phases) &&
    isNumber(value.uploadedBytes) &&
    (value.error === undefined || isError(value.error))
  );
}

function isSummary(value: unknown): boolean {
  return (
    isRecord(value) &&
    isText(value.run) &&
    isText(value.playbook) &&
    isNumber(value.elapsedMs) &&
    isTally(value.tally) &&
    isRecord(value.outcomes) &&
    OUTCOMES.every((outcome) => isNumber((value.outcomes as Fields)[outcome])) &&
    isNumber(value.exitCode) &&
    Array.isArray(value.hosts) &&
    value.hosts.every(
      (host: unknown) =>
        isHostEnd(host) &&
        Array.isArray((host as Fields).failures) &&
        ((host as Fields).failures as unknown[]).every(isFailure),
    )
  );
}

function isFailure(value: unknown): boolean {
  return (
    isRecord(value) &&
    isText(value.role) &&
    isText(value.name) &&
    isError(value.error) &&
    isTexts(value.output)
  );
}

/** The checks of the controller's own events. */
const CHECKS: Readonly<Record<ControllerEvent["type"], (event: Fields) => boolean>> = {
  "run:start": ({ run, playbook, hosts, plays, concurrency }) =>
    isText(run) &&
    isText(playbook) &&
    isTexts(hosts) &&
    isNumber(concurrency) &&
    Array.isArray(plays) &&
    plays.every((play: unknown) => isRecord(play) && isText(play.name) && isTexts(play.hosts)),
  "task:once": isAskedTask,
  "task:delegate": isDelegatedTask,
  "run:build": ({ bytes, elapsedMs }) => isNumber(bytes) && isNumber(elapsedMs),
  "run:cancel": ({ how }) => how === "clean" || how === "now",
  "run:end": ({ summary }) => isSummary(summary),
  "host:connect": ({ address, port, user }) => isText(address) && isNumber(port) && isText(user),
  "host:connected": ({ elapsedMs }) => isNumber(elapsedMs),
  "host:upload": ({ bytes, totalBytes, elapsedMs }) =>
    isNumber(bytes) && isNumber(totalBytes) && isNumber(elapsedMs),
  "host:cached": () => true,
  "host:start": () => true,
  "host:lost": ({ reason }) => isText(reason),
  "host:back": ({ awayMs }) => isNumber(awayMs),
  "host:noise": ({ text }) => isText(text),
  "host:end": isHostEnd,
  "play:batch": ({ index, play, batch, batches, hosts, seed }) =>
    isNumber(index) &&
    isText(play) &&
    isNumber(batch) &&
    isNumber(batches) &&
    isTexts(hosts) &&
    (seed === undefined || isText(seed)),
  "play:stop": ({ index, play, reason }) => isNumber(index) && isText(play) && isError(reason),
};

/** Return whether a line of a run's log is an event. A file that was cut off or damaged, or is of a later version, has other lines. */
export function isLoggedEvent(value: unknown): value is Event {
  if (!isRecord(value) || typeof value.type !== "string" || !isNumber(value.time)) return false;
  const { type, host, hostSeq } = value;
  if (Object.hasOwn(CHECKS, type)) {
    return (
      CHECKS[type as ControllerEvent["type"]](value) &&
      (/^(?:host|task):/.test(type) ? isText(host) : host === undefined)
    );
  }
  try {
    if (checkEvent(value as Fields & { readonly type: string }) === undefined) return false;
  } catch {
    return false;
  }
  return isText(host) && (hostSeq === undefined || Number.isSafeInteger(hostSeq));
}
