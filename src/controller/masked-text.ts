import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Mask } from "../core/mask.ts";

/** Passes a stream's text on in pieces, with secrets masked wherever the pieces are cut. */
export function onMaskedText(stream: Readable, mask: Mask | null, on: (text: string) => void): void {
  const decoder = new StringDecoder("utf8");
  const masking = mask?.stream();
  const tell = (text: string): void => {
    if (text !== "") on(text);
  };
  stream.on("data", (chunk: Buffer) => {
    const text = decoder.write(chunk);
    tell(masking === undefined ? text : masking.push(text));
  });
  stream.once("end", () => {
    const rest = decoder.end();
    tell(masking === undefined ? rest : masking.push(rest) + masking.end());
  });
}
