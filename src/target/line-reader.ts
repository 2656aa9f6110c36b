import type { Readable } from "node:stream";

/** The longest line taken from whoever commands this process. */
const MAX_COMMAND_LINE = 64 << 20;

/** Calls `onLine` with each line of a stream, without its end. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let buffered = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    buffered += chunk;
    for (let end = buffered.indexOf("\n"); end >= 0; end = buffered.indexOf("\n")) {
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + 1);
      if (line !== "") onLine(line);
    }
    if (buffered.length > MAX_COMMAND_LINE) stream.destroy();
  });
}
