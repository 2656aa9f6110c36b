import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Mask } from "../../vars/mask.ts";

const MAX_LINE = 64 << 10;

/** Passes a stream's text on a line or more at a time, with secrets masked wherever its pieces are cut. */
export function onMaskedText(stream: Readable, mask: Mask | null, on: (text: string) => void): void {
  const decoder = new StringDecoder("utf8");
  const masking = mask?.stream();
  let unfinished = "";
  const take = (text: string, isLast: boolean): void => {
    unfinished += text;
    const end = isLast || unfinished.length > MAX_LINE ? unfinished.length : unfinished.lastIndexOf("\n") + 1;
    if (end > 0) on(unfinished.slice(0, end));
    unfinished = unfinished.slice(end);
  };
  stream.on("data", (chunk: Buffer) => {
    const text = decoder.write(chunk);
    take(masking === undefined ? text : masking.push(text), false);
  });
  stream.once("end", () => {
    const rest = decoder.end();
    take(masking === undefined ? rest : masking.push(rest) + masking.end(), true);
  });
}
