import { StringDecoder } from "node:string_decoder";
import { createOutputLines } from "../../reporter/output-lines.ts";
import { safeLines } from "../../reporter/rows/sanitize.ts";

const PLAIN = /^[\x20-\x7e]{0,2000}$/;

/** A line made safe to show; nearly all are as they are. */
export function shownLines(text: string): readonly string[] {
  return PLAIN.test(text) ? [text] : safeLines(text);
}

/** Puts the bytes of each host's streams together into lines. */
export interface HostLines {
  /** The lines that are now complete; one that grows too long is given out in parts. */
  add(host: string, stream: "stdout" | "stderr", chunk: Buffer): readonly string[];
  /** What a host left without an end, by stream; nothing is kept of it. */
  finish(host: string): readonly { readonly stream: "stdout" | "stderr"; readonly text: string }[];
}

/** Starts with nothing. */
export function createHostLines(): HostLines {
  const hosts = new Map<string, ReturnType<typeof streamLines>[]>();
  const of = (host: string) => {
    const streams = hosts.get(host) ?? [streamLines("stdout"), streamLines("stderr")];
    hosts.set(host, streams);
    return streams;
  };
  return {
    add: (host, stream, chunk) => of(host)[stream === "stdout" ? 0 : 1]!.add(chunk),
    finish: (host) => {
      const streams = hosts.get(host) ?? [];
      hosts.delete(host);
      return streams.flatMap(({ stream, rest }) => rest().map((text) => ({ stream, text })));
    },
  };
}

function streamLines(stream: "stdout" | "stderr") {
  // A character may be cut in two by the network.
  const decoder = new StringDecoder("utf8");
  const lines = createOutputLines();
  return {
    stream,
    add: (chunk: Buffer): readonly string[] => lines.add(stream, decoder.write(chunk)),
    rest: (): readonly string[] => [...lines.add(stream, decoder.end()), ...lines.rest()],
  };
}
