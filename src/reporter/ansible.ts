import { basename } from "node:path";
import { PLAYBOOK_ROLE } from "../core/asset.ts";
import type { ControllerEvent, Event, ReceivedEvent, TaskRef } from "../core/events.ts";
import type { Result } from "../core/result.ts";
import {
  countResult,
  noStats,
  type ResultStyle,
  recapLine,
  resultText,
  type Stats,
  taskName,
  warningsOf,
} from "./ansible-results.ts";
import { createCustomStats } from "./ansible-stats.ts";
import { ansibleColors, banner, foldText, isSet, paint, safeText, sortedJson } from "./ansible-text.ts";
import { createOutputLines, createTextWriter, type Environment, type Reporter } from "./reporter.ts";

/** The options of Ansible's output. */
export interface AnsibleOutputOptions {
  readonly stdout: NodeJS.WritableStream & { readonly columns?: number; readonly isTTY?: boolean };
  /** Warnings go here. */
  readonly stderr: NodeJS.WritableStream;
  readonly env: Environment;
  readonly verbosity: number;
  readonly diff: boolean;
}

type EventOf<Type extends Event["type"]> = Extract<Event, { type: Type }>;

/** The task of a host in work, or done last. */
interface Current {
  readonly play: number;
  /** The same for the same task on all hosts. */
  readonly key: string;
  readonly ref: TaskRef;
}

interface HostState {
  play: number;
  readonly seen: Map<string, number>;
  current: Current | undefined;
  lines: ReturnType<typeof createOutputLines>;
}

/** The columns where standard output is no terminal. */
const COLUMNS = 79;
/** The engine tells of tries in these words. */
const TRY = /^attempt (\d+) of (\d+): not yet/;
const UNKNOWN_PATTERN = /^no host or group is called "(.*)": it is passed over$/;
const EMPTY_PLAY = /^play ".*" has no hosts: it is skipped$/;

/**
 * Print what ansible-playbook prints, for scripts that read it. Hosts work on their own: a task's header stands over its
 * first result, and again where results of another task came between.
 */
export function createAnsibleReporter(options: AnsibleOutputOptions): Reporter {
  const { stdout, stderr, env, verbosity, diff } = options;
  const writer = createTextWriter(stdout);
  const errors = createTextWriter(stderr);
  const columns = stdout.isTTY === true ? Math.max(1, (stdout.columns ?? 80) - 1) : COLUMNS;
  const colors = ansibleColors(stdout, env);
  const style: ResultStyle = {
    colors,
    verbosity,
    diff,
    showsSkipped: isSet(env.ANSIBLE_DISPLAY_SKIPPED_HOSTS, true),
    showsOk: isSet(env.ANSIBLE_DISPLAY_OK_HOSTS, true),
  };
  const stats = new Map<string, Stats>();
  const custom = isSet(env.ANSIBLE_SHOW_CUSTOM_STATS, false) ? createCustomStats() : undefined;
  const hosts = new Map<string, HostState>();
  const warned = new Set<string>();
  let plays: EventOf<"run:start">["plays"] = [];
  let isSingle = false;
  let begun = -1;
  let shownPlay = -1;
  let shownTask = "";

  const statsOf = (host: string): Stats => {
    const known = stats.get(host) ?? noStats();
    stats.set(host, known);
    return known;
  };
  const hostOf = (host: string): HostState => {
    const known = hosts.get(host);
    if (known !== undefined) return known;
    const fresh = { play: 0, seen: new Map(), current: undefined, lines: createOutputLines() };
    hosts.set(host, fresh);
    return fresh;
  };
  const warn = (kind: string, text: string): void => {
    const whole = `[${kind}]: ${text}`;
    if (warned.has(whole)) return;
    warned.add(whole);
    errors.write(`${paint(safeText(foldText(whole, columns)), "warning", colors)}\n`);
  };

  const passOver = (before: number): void => {
    for (let index = begun + 1; index < before; index++) {
      const play = plays[index];
      if (play === undefined || play.hosts.length > 0) continue;
      writer.write(banner(`PLAY [${play.name}]`, columns));
      writer.write(`${paint("skipping: no hosts matched", "skipped", colors)}\n`);
    }
    begun = Math.max(begun, before - 1);
  };
  const showPlay = (index: number, name: string): void => {
    if (shownPlay === index) return;
    passOver(index);
    begun = Math.max(begun, index);
    shownPlay = index;
    shownTask = "";
    writer.write(banner(`PLAY [${name}]`, columns));
  };
  const showTask = ({ play, key, ref }: Current, result?: Result): void => {
    showPlay(play, ref.play);
    if (shownTask === key) return;
    shownTask = key;
    const named = ref.role === PLAYBOOK_ROLE ? { ...ref, role: "" } : ref;
    const title = ref.handler === true ? "RUNNING HANDLER" : "TASK";
    writer.write(banner(`${title} [${taskName(named, result)}]`, columns));
  };

  const taskStart = (host: string, ref: TaskRef): Current => {
    const state = hostOf(host);
    const name = JSON.stringify([state.play, ref.role, ref.name, ref.action, ref.handler === true]);
    const nth = (state.seen.get(name) ?? 0) + 1;
    state.seen.set(name, nth);
    state.lines = createOutputLines();
    const current = { play: state.play, key: `${name} ${nth}`, ref };
    state.current = current;
    // The result of an include_role is needed for its header; results that are not shown have none.
    if (isSingle && ref.action !== "include_role" && style.showsSkipped && style.showsOk) showTask(current);
    return current;
  };
  const taskOutput = ({ host, stream, text }: EventOf<"task:output">): void => {
    const { current, lines } = hostOf(host);
    if (stream !== "stderr" || current === undefined) return;
    for (const line of lines.add(stream, text)) {
      const [, attempt, tries] = TRY.exec(line) ?? [];
      if (attempt === undefined) continue;
      showTask(current);
      const left = Number(tries) - Number(attempt);
      const told = `FAILED - RETRYING: [${host}]: ${current.ref.name} (${left} retries left).`;
      writer.write(`${paint(safeText(told), "skipped", colors)}\n`);
    }
  };
  const taskEnd = (event: EventOf<"task:end">): void => {
    const { host, result } = event;
    const state = hostOf(host);
    const current = state.current?.ref.task === event.task ? state.current : taskStart(host, event);
    for (const text of warningsOf(result)) warn("WARNING", text);
    // Another host has done it for all.
    if (result.from !== undefined) return;
    const ended = { host, task: event, result };
    countResult(statsOf(host), ended);
    if (event.action === "set_stats") custom?.take(host, result);
    const text = resultText(ended, style);
    if (text !== "" || (event.action === "include_role" && style.showsOk)) showTask(current, result);
    writer.write(text);
    // Scripts look for faults of the playbook itself by this word.
    if (result.error?.code === "PLAYBOOK_INVALID" && result.ignored !== true)
      errors.write(`${paint(safeText(`ERROR! ${result.error.message}`), "failed", colors)}\n`);
  };
  const hostEnd = ({ host, outcome, error }: EventOf<"host:end">): void => {
    const isAway = outcome === "unreachable" || outcome === "lost";
    const own = statsOf(host);
    if (!isAway && (error === undefined || own.failed + own.unreachable > 0 || outcome !== "failed")) return;
    const state = hostOf(host);
    if (state.current !== undefined) showTask(state.current);
    else {
      const index = Math.max(
        0,
        plays.findIndex((play) => play.hosts.includes(host)),
      );
      const play = plays[index]?.name ?? "";
      const ref: TaskRef = { task: 0, play, role: "", name: "Gathering Facts", action: "setup" };
      showTask({ play: index, key: "connect", ref });
    }
    const message = error?.message ?? outcome;
    const line = isAway
      ? `fatal: [${host}]: UNREACHABLE! => ${sortedJson({ changed: false, msg: `Failed to connect to the host via ssh: ${message}`, unreachable: true }, verbosity > 2)}`
      : `fatal: [${host}]: FAILED! => ${sortedJson({ changed: false, msg: message }, verbosity > 2)}`;
    if (isAway) own.unreachable++;
    else own.failed++;
    writer.write(`${paint(safeText(line), isAway ? "unreachable" : "failed", colors)}\n`);
  };
  const log = ({ level, text }: EventOf<"log">): void => {
    if (level === "notice") warn("NOTICE", text);
    if (level === "info" && verbosity > 1 && text.startsWith("META: ")) writer.write(`${safeText(text)}\n`);
    if (level !== "warn" || EMPTY_PLAY.test(text)) return;
    const pattern = UNKNOWN_PATTERN.exec(text)?.[1];
    warn(
      "WARNING",
      pattern === undefined ? text : `Could not match supplied host pattern, ignoring: ${pattern}`,
    );
  };

  const hear = (event: ControllerEvent | ReceivedEvent): void => {
    switch (event.type) {
      case "run:start":
        plays = event.plays;
        isSingle = event.hosts.length === 1;
        if (verbosity > 1) {
          writer.write(banner(`PLAYBOOK: ${basename(event.playbook)}`, columns));
          writer.write(`${plays.length} plays in ${safeText(event.playbook)}\n`);
        }
        break;
      case "play:batch":
        // Each batch is a play of its own.
        shownPlay = -1;
        break;
      case "play:start": {
        const state = hostOf(event.host);
        state.play = event.index;
        state.seen.clear();
        state.current = undefined;
        if (event.index > begun) showPlay(event.index, event.play);
        break;
      }
      case "task:start":
        taskStart(event.host, event);
        break;
      case "task:output":
        taskOutput(event as EventOf<"task:output">);
        break;
      case "task:end":
        taskEnd(event as EventOf<"task:end">);
        break;
      case "task:rescued": {
        const own = statsOf(event.host);
        own.failed = Math.max(0, own.failed - 1);
        own.rescued++;
        break;
      }
      case "log":
        log(event as EventOf<"log">);
        break;
      case "host:lost":
        warn("WARNING", `${event.host}: connection lost: ${event.reason}; trying again`);
        break;
      case "host:end":
        hostEnd(event as EventOf<"host:end">);
        break;
      case "play:stop":
        writer.write(banner("NO MORE HOSTS LEFT", columns));
        warn("ERROR", event.reason.message);
        break;
      case "run:cancel":
        warn("ERROR", "User interrupted execution");
        break;
      default:
        break;
    }
  };

  const flush = async (): Promise<void> => {
    await Promise.all([writer.flush(), errors.flush()]);
  };
  return {
    event: hear,
    end(summary) {
      const goesOn = summary.hosts.length === 0 || summary.hosts.some(({ outcome }) => outcome === "ok");
      if (goesOn) passOver(plays.length);
      writer.write(banner("PLAY RECAP", columns));
      for (const host of [...stats.keys()].sort()) {
        const own = stats.get(host)!;
        if (Object.values(own).some((value) => value > 0)) writer.write(recapLine(host, own, colors));
      }
      writer.write("\n");
      writer.write(custom?.text(columns) ?? "");
      return flush();
    },
    close: flush,
  };
}
