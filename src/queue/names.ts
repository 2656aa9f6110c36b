// The names of keys in the store.

/** The keys of a run. */
export interface RunKeys {
  /** The run as workers, watchers and the next controller know it. */
  readonly record: string;
  /** A hash of the hosts' work, by index. */
  readonly parts: string;
  /** A hash: the controller that has the run, the number of its last message, its last sign of life, the end. */
  readonly control: string;
  /** A stream: workers to controller. */
  readonly up: string;
  /** A stream: controller to workers. */
  readonly down: string;
  /** A stream: the run's events. */
  readonly log: string;
  /** A hash of whole results for other hosts. */
  readonly results: string;
}

/** Return the keys of a run below a prefix. */
export function runKeys(prefix: string, run: string): RunKeys {
  const key = (name: string): string => `${prefix}:run:${run}:${name}`;
  return {
    record: key("record"),
    parts: key("parts"),
    control: key("control"),
    up: key("up"),
    down: key("down"),
    log: key("log"),
    results: key("results"),
  };
}

/** Return the sorted set of runs by their start. */
export function runsKey(prefix: string): string {
  return `${prefix}:runs`;
}

/** Return the name of BullMQ's queue for a label. */
export function queueName(label: string): string {
  return `hosts.${label}`;
}

/** Return the id of a host's job in BullMQ's queue. */
export function jobId(run: string, host: number): string {
  return `${run}-${host}`;
}
