const MAX_PARTIAL = 4_000;

/** Puts pieces of output together into lines, per stream. */
export interface OutputLines {
  /** Takes a piece in and returns the lines that are now complete. */
  add(stream: "stdout" | "stderr", text: string): readonly string[];
  /** The lines that were left without an end. */
  rest(): readonly string[];
}

/** Starts with nothing; a line that grows too long is given out in parts. */
export function createOutputLines(): OutputLines {
  const partial = { stdout: "", stderr: "" };
  return {
    add(stream, text) {
      const lines = (partial[stream] + text).split("\n");
      const last = lines.pop() ?? "";
      partial[stream] = last.length > MAX_PARTIAL ? "" : last;
      return last.length > MAX_PARTIAL ? [...lines, last] : lines;
    },
    rest() {
      const lines = [partial.stdout, partial.stderr].filter((text) => text !== "");
      partial.stdout = "";
      partial.stderr = "";
      return lines;
    },
  };
}
