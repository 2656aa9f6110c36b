import { format } from "node:util";

/** A `console` for the code of roles that is carried out here: what is printed on it is told as lines of a log. */
export function consoleOf(tell: (level: "info" | "warn", text: string) => void): Pick<Console, "log"> {
  const print =
    (level: "info" | "warn") =>
    (...values: readonly unknown[]): void =>
      tell(level, format(...values));
  return {
    ...console,
    ...{
      log: print("info"),
      info: print("info"),
      debug: print("info"),
      warn: print("warn"),
      error: print("warn"),
    },
  } as Pick<Console, "log">;
}
