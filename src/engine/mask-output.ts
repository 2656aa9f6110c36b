import type { Mask, MaskStream } from "../core/mask.ts";

/** What a task prints, on its way out. */
export interface TaskOutput {
  push(stream: "stdout" | "stderr", text: string): void;
  /** Lets go of what was held back. */
  end(): void;
}

/** Masks what a task prints, each stream on its own: what may be the beginning of a secret waits for what follows it. */
export function maskOutput(
  mask: Mask | null,
  tell: (stream: "stdout" | "stderr", text: string) => void,
): TaskOutput {
  if (mask === null) return { push: tell, end: () => {} };
  const streams = new Map<"stdout" | "stderr", MaskStream>();
  return {
    push: (stream, text) => {
      let masked = streams.get(stream);
      if (masked === undefined) {
        masked = mask.stream();
        streams.set(stream, masked);
      }
      const shown = masked.push(text);
      if (shown !== "") tell(stream, shown);
    },
    end: () => {
      for (const [stream, masked] of streams) {
        const shown = masked.end();
        if (shown !== "") tell(stream, shown);
      }
    },
  };
}
