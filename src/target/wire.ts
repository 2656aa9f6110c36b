import { VolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import { isRecord } from "../core/json.ts";
import {
  type Command,
  encodeLine,
  type Job,
  MAX_LINE_BYTES,
  PROTOCOL_VERSION,
  type WireEvent,
} from "../core/protocol.ts";

/** The target's end of the protocol: events out, the Job and then commands in. */
export interface Wire {
  emit(event: TargetEvent): void;
  readJob(): Promise<Job>;
  /** True when told to go on after this play; false when nobody is left to say so. */
  waitForOthers(play: number): Promise<boolean>;
  /** Resolves once everything emitted has left. */
  flush(): Promise<void>;
  readonly stop: AbortSignal;
  readonly kill: AbortSignal;
}

/** Speaks the protocol over this process's standard streams. */
export function openWire(input: NodeJS.ReadStream, output: NodeJS.WriteStream): Wire {
  const stop = new AbortController();
  const kill = new AbortController();
  const continued = new Set<number>();
  const waiting = new Map<number, (goOn: boolean) => void>();
  let sequence = 0;
  let connected = true;
  let ended = false;
  let giveJob: ((line: string | null) => void) | undefined;
  let buffered = "";
  // What else writes to the stream is kept off it from here on.
  const write = output.write.bind(output);

  // A controller that has gone away does not end the run: what is left to say goes nowhere.
  output.on("error", () => {
    connected = false;
  });

  const obey = (line: string): void => {
    const command = parseLine(line) as Command | undefined;
    switch (command?.type) {
      case "continue":
        continued.add(command.play);
        waiting.get(command.play)?.(true);
        return;
      case "cancel":
        stop.abort();
        for (const resume of waiting.values()) resume(false);
        return;
      case "kill":
        stop.abort();
        kill.abort();
        for (const resume of waiting.values()) resume(false);
        return;
    }
  };
  const takeLine = (line: string): void => {
    if (giveJob === undefined) return obey(line);
    const give = giveJob;
    giveJob = undefined;
    give(line);
  };
  input.setEncoding("utf8");
  input.on("data", (chunk: string) => {
    buffered += chunk;
    for (let end = buffered.indexOf("\n"); end >= 0; end = buffered.indexOf("\n")) {
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + 1);
      if (line !== "") takeLine(line);
    }
  });
  const onEnd = (): void => {
    ended = true;
    giveJob?.(null);
    for (const resume of waiting.values()) resume(false);
  };
  input.once("end", onEnd);
  input.once("error", onEnd);

  return {
    stop: stop.signal,
    kill: kill.signal,
    emit: (event) => {
      if (!connected) return;
      const { type, ...rest } = event;
      // `type` first: the controller knows the first line of the protocol by it.
      const wire = { type, seq: ++sequence, time: Date.now(), ...rest } as WireEvent;
      write(boundedLine(wire));
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
      return job;
    },
    waitForOthers: (play) =>
      continued.has(play)
        ? Promise.resolve(true)
        : ended
          ? Promise.resolve(false)
          : new Promise((resolve) => waiting.set(play, resolve)),
    flush: () =>
      new Promise((resolve) => {
        input.destroy();
        if (connected) write("", () => resolve());
        else resolve();
      }),
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
