import { VolleyError } from "../core/errors.ts";
import type { Content, ProcessOptions, ProcessResult, System } from "../core/system.ts";
import { SYSTEM_CALLS } from "../system/remote-process/messages.ts";

/** A process is killed 5 s after it was told to end; what the kernel keeps for longer can do nothing any more. */
const GONE_MS = 10_000;

/** A System as one task has it. */
export interface TaskSystem {
  /** Its processes end with the task's signal, whether the action passes that on or not. */
  readonly system: System;
  /**
   * Ends what goes on; every further call fails with `CANCELLED`. Resolves when nothing goes on, after 10 s at the latest.
   */
  cutOff(): Promise<void>;
}

/** Makes a task's System of that of its user. */
export function createTaskSystem(own: System, signal: AbortSignal): TaskSystem {
  const cut = new AbortController();
  const going = new Set<Promise<unknown>>();
  const refuseLate = (): void => {
    if (cut.signal.aborted) throw late();
  };
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    refuseLate();
    const doing = work();
    going.add(doing);
    try {
      return await doing;
    } finally {
      going.delete(doing);
    }
  };

  const runs =
    (name: "run" | "query"): System["run"] =>
    (argv, options = {}) =>
      call(async () => {
        // What an action runs to tidy up, once it was told to end, has the time until it is cut off.
        const ends = [cut.signal, ...(signal.aborted ? [] : [signal])];
        return endedBy([...ends, ...(options.signal === undefined ? [] : [options.signal])], (either) =>
          own[name](argv, { ...options, signal: either } satisfies ProcessOptions),
        );
      });
  const broken = new Promise<never>((_, reject) => {
    cut.signal.addEventListener("abort", () => reject(late()), { once: true });
  });
  broken.catch(() => {});
  /** Content that breaks off when the task is cut off, even while its next piece is waited for. */
  const pieces = async function* (content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = content[Symbol.asyncIterator]();
    let isDone = false;
    try {
      for (;;) {
        const { done, value } = await Promise.race([iterator.next(), broken]);
        isDone = done === true;
        if (isDone) return;
        yield value as Uint8Array;
      }
    } finally {
      if (!isDone) iterator.return?.().catch(() => {});
    }
  };

  const methods = Object.fromEntries(
    SYSTEM_CALLS.map((name) => [
      name,
      (...args: readonly unknown[]) =>
        call(() => (own[name] as (...given: readonly unknown[]) => Promise<unknown>)(...args)),
    ]),
  );
  const system = {
    ...methods,
    ...(own.dial === undefined
      ? {}
      : { dial: (host: string, port: number) => call(() => own.dial!(host, port)) }),
    run: runs("run"),
    query: runs("query"),
    writeFile: (path: string, content: Content, ...rest: readonly [WriteRest?]) =>
      call(() =>
        own.writeFile(
          path,
          typeof content === "object" && Symbol.asyncIterator in content ? pieces(content) : content,
          ...rest,
        ),
      ),
    get uid() {
      return own.uid;
    },
    get gid() {
      return own.gid;
    },
  } as unknown as System;
  return {
    system,
    cutOff: async () => {
      cut.abort();
      let timer: NodeJS.Timeout | undefined;
      const given = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, GONE_MS);
      });
      await Promise.race([Promise.allSettled(going), given]);
      clearTimeout(timer);
    },
  };
}

function late(): VolleyError {
  return new VolleyError("CANCELLED", "the task's time is over");
}

type WriteRest = Parameters<System["writeFile"]>[2];

/** Does something with a signal that is aborted as soon as one of these is. */
async function endedBy(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<ProcessResult>,
): Promise<ProcessResult> {
  const either = new AbortController();
  const onAbort = (): void => either.abort();
  for (const one of signals) {
    if (one.aborted) onAbort();
    one.addEventListener("abort", onAbort, { once: true });
  }
  try {
    return await work(either.signal);
  } finally {
    for (const one of signals) one.removeEventListener("abort", onAbort);
  }
}
