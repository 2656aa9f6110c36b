import type { Readable } from "node:stream";

/** The longest line taken from whoever commands this process. */
const MAX_COMMAND_LINE = 64 << 20;

/** Calls `onLine` with each line of a stream, without its end. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let buffered = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    // What is there already holds no line's end.
    let search = buffered.length;
    let from = 0;
    buffered += chunk;
    for (let end = buffered.indexOf("\n", search); end >= 0; end = buffered.indexOf("\n", search)) {
      if (end > from) onLine(buffered.slice(from, end));
      from = end + 1;
      search = from;
    }
    buffered = buffered.slice(from);
    if (buffered.length > MAX_COMMAND_LINE) stream.destroy(new Error("a line is too long"));
  });
}
