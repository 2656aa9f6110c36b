/** Writes text to a stream in order, never more at a time than it takes, and tells when all of it has left. */
export interface TextWriter {
  write(text: string): void;
  /** Resolves once everything written so far is with the operating system, or can never be. */
  flush(): Promise<void>;
}

/** A writer that waits for `drain`; when the reader has gone away (`EPIPE`) it drops the rest quietly. */
export function createTextWriter(stream: NodeJS.WritableStream): TextWriter {
  let waiting: string[] = [];
  let blocked = false;
  let gone = false;
  let flushed: (() => void)[] = [];

  const settle = (): void => {
    const resolvers = flushed;
    flushed = [];
    for (const resolve of resolvers) resolve();
  };
  const pump = (): void => {
    if (gone || blocked) return;
    if (waiting.length > 0) {
      const text = waiting.join("");
      waiting = [];
      if (!stream.write(text)) {
        blocked = true;
        stream.once("drain", () => {
          blocked = false;
          pump();
        });
        return;
      }
    }
    if (flushed.length > 0) stream.write("", settle);
  };
  const giveUp = (): void => {
    gone = true;
    waiting = [];
    settle();
  };
  stream.on("error", giveUp);
  stream.on("close", giveUp);

  return {
    write(text) {
      if (gone) return;
      waiting.push(text);
      pump();
    },
    flush() {
      return new Promise((resolve) => {
        if (gone) return resolve();
        flushed.push(resolve);
        pump();
      });
    },
  };
}
